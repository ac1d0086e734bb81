// SPDX-License-Identifier: Apache-2.0
//
// A link whose TCP segments pass, wait or vanish, each direction by itself, as somebody at the gate decides.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "synfin/link/link.h"

namespace synfin::lab {

enum class Way : std::uint8_t {
  kIn,
  kOut
};

class Gate final : public link::Link {
 public:
  enum class Mode : std::uint8_t {
    kPass,
    kHold,
    kDrop
  };
  explicit Gate(std::unique_ptr<link::Link> inner) : inner_(std::move(inner)) {}

  const link::LinkInfo& info() const override { return inner_->info(); }
  [[nodiscard]] std::expected<std::size_t, link::LinkError> receive(std::span<wire::Frame> batch,
                                                                    Instant now) override;
  [[nodiscard]] std::expected<std::size_t, link::LinkError> send(std::span<wire::Frame> batch,
                                                                 Instant now) override;
  int descriptor() const override { return inner_->descriptor(); }

  /// What is held meanwhile passes first when the mode becomes kPass, and is lost when it becomes kDrop.
  void set(Way way, Mode mode);
  /// Lets the first `count` held segments through.
  void let(Way way, std::size_t count);
  /// Such as `FIN,ACK` and `PSH,ACK(100)`, first first.
  std::vector<std::string> held(Way way) const;
  /// Segments that vanished.
  std::size_t dropped(Way way) const { return path(way).dropped; }
  /// Whether `send` has something of its own to do.
  bool has_output() const { return !out_.open.empty(); }

 private:
  struct Path {
    Mode mode = Mode::kPass;
    std::deque<wire::Frame> held;
    std::deque<wire::Frame> open;  // was held, may go now
    std::size_t dropped = 0;
  };
  Path& path(Way way) { return way == Way::kIn ? in_ : out_; }
  const Path& path(Way way) const { return way == Way::kIn ? in_ : out_; }

  std::unique_ptr<link::Link> inner_;
  Path in_;
  Path out_;
};

}  // namespace synfin::lab
