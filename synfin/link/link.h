// SPDX-License-Identifier: Apache-2.0
//
// Where packets come from and go to. A link moves frames in batches; it never blocks and knows nothing of
// TCP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include "synfin/base/time.h"
#include "synfin/wire/frame.h"

namespace synfin::link {

/// Why a link stopped working: one line for people, and the errno behind it (0 if none).
struct LinkError {
  std::string message;
  int code = 0;
};

struct LinkInfo {
  std::string name;
  /// Octets of the largest packet, network header included.
  std::uint32_t mtu = 1500;
  /// Takes and gives super-segments and unfilled checksums (`Frame::segment_size`, `Frame::needs_checksum`).
  bool offload = false;
};

/// One thread. Decorators (impairment, capture tee) own the link they wrap.
class Link {
 public:
  virtual ~Link() = default;

  virtual const LinkInfo& info() const = 0;

  /// Moves up to `batch.size()` received frames into `batch` (cleared first by the caller or not: they are
  /// overwritten) and returns their number; 0: nothing there now. An error is final: the device is gone.
  [[nodiscard]] virtual std::expected<std::size_t, LinkError> receive(std::span<wire::Frame> batch,
                                                                      Instant now) = 0;

  /// Takes frames from the front of `batch` and returns how many; fewer than all: the queue of the link is
  /// full, offer the rest again later. Taken frames are left empty.
  [[nodiscard]] virtual std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch,
                                                                   Instant now) = 0;

  /// Whether `receive` called again may give more although nothing happens in between; false: its last call
  /// saw the end of what had arrived.
  virtual bool may_have_more() const { return true; }

  /// When `receive` or `send` should be called again although nothing arrived: frames that the link itself
  /// holds back.
  virtual Instant next_deadline() const { return Instant::never(); }

  /// From now on gives and takes single packets with their checksums, and `info().offload` is false: for a
  /// decorator that looks at each by itself. Before a stack is made over the link.
  virtual void disable_offload() {}

  /// What to wait on for readability; -1 where there is nothing to wait on (in-memory links).
  virtual int descriptor() const { return -1; }
};

}  // namespace synfin::link
