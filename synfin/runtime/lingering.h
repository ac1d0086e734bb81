// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>

#include "synfin/runtime/watcher.h"
#include "synfin/stack/stack.h"

namespace synfin::runtime {

/// A connection that the program has closed with a time limit. The stack's own close gives up the handle, and
/// with it the means to reset the connection later; so the handle is kept here until the FIN is acknowledged
/// or time is up.
class Lingering final : public Watcher {
 public:
  using ByDeadline = std::multimap<Instant, std::unique_ptr<Lingering>>;

  /// Who keeps them.
  class Keeper {
   public:
    /// Something happened to the connection. May destroy the object.
    virtual void look_at(Lingering& lingering) = 0;

   protected:
    ~Keeper() = default;
  };

  Lingering(stack::Handle handle, Keeper& keeper) : handle_(handle), keeper_(keeper) {}
  stack::Handle handle() const { return handle_; }
  void on_socket_event(std::uint8_t) override { keeper_.look_at(*this); }
  void on_runtime_end() override {}

  /// Whether all that the program sent has arrived, or never will.
  bool over(const stack::Stack& stack) const {
    using trace::State;
    const auto status = stack.status(handle_);
    if (!status || stack.failure(handle_) != tcp::Error::kWouldBlock) return true;
    return status->state == State::kFinWait2 || status->state == State::kTimeWait ||
           status->state == State::kClosed;
  }

  ByDeadline::iterator place;

 private:
  stack::Handle handle_;
  Keeper& keeper_;
};

}  // namespace synfin::runtime
