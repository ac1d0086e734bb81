// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "synfin/trace/event.h"

namespace synfin::app {

/// Remembers why the last connection that ended did so, for the line that tells the user.
class LastWords final : public trace::Sink {
 public:
  void on_event(const trace::Event& event) override {
    if (event.kind == trace::EventKind::kStateChanged && event.to == trace::State::kClosed)
      reason_ = event.reason;
  }
  bool wants_packets() const override { return false; }
  trace::Reason reason() const { return reason_; }

 private:
  trace::Reason reason_ = trace::Reason::kNone;
};

}  // namespace synfin::app
