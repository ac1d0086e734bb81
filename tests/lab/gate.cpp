// SPDX-License-Identifier: Apache-2.0
#include "gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "synfin/view/text.h"
#include "synfin/wire/packet.h"

namespace synfin::lab {
namespace {

std::optional<wire::TcpPacket> segment_of(const wire::Frame& frame) {
  // What the stack sends has its headers in front; what comes from the device lies whole in one slice.
  const Bytes front = frame.front();
  const auto ip = wire::parse_ip(front, frame.size());
  if (!ip || ip->header.protocol != wire::protocol::kTcp) return std::nullopt;
  const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
  return packet ? std::optional(*packet) : std::nullopt;
}

}  // namespace

std::expected<std::size_t, link::LinkError> Gate::receive(std::span<wire::Frame> batch, Instant now) {
  std::size_t given = 0;
  while (given < batch.size() && !in_.open.empty()) {
    batch[given++] = std::move(in_.open.front());
    in_.open.pop_front();
  }
  if (given > 0) return given;
  std::array<wire::Frame, 64> arrived;
  for (;;) {
    const auto count = inner_->receive(std::span(arrived).first(std::min(arrived.size(), batch.size())), now);
    if (!count || *count == 0) return count;
    for (std::size_t i = 0; i < *count; ++i) {
      if (in_.mode == Mode::kPass || !segment_of(arrived[i])) {
        batch[given++] = std::move(arrived[i]);
      } else if (in_.mode == Mode::kHold) {
        in_.held.push_back(std::move(arrived[i]));
      } else {
        arrived[i].clear();
        ++in_.dropped;
      }
    }
    if (given > 0) return given;
  }
}

std::expected<std::size_t, link::LinkError> Gate::send(std::span<wire::Frame> batch, Instant now) {
  while (!out_.open.empty()) {
    const auto sent = inner_->send({&out_.open.front(), 1}, now);
    if (!sent) return sent;
    if (*sent == 0) return 0;
    out_.open.pop_front();
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (out_.mode == Mode::kPass || !segment_of(batch[i])) {
      const auto sent = inner_->send(batch.subspan(i, 1), now);
      if (!sent) return sent;
      if (*sent == 0) return i;
    } else if (out_.mode == Mode::kHold) {
      out_.held.push_back(std::move(batch[i]));
    } else {
      batch[i].clear();
      ++out_.dropped;
    }
  }
  return batch.size();
}

void Gate::set(Way way, Mode mode) {
  Path& p = path(way);
  p.mode = mode;
  if (mode == Mode::kPass) let(way, p.held.size());
  if (mode == Mode::kDrop) {
    p.dropped += p.held.size();
    p.held.clear();
  }
}

void Gate::let(Way way, std::size_t count) {
  Path& p = path(way);
  for (; count > 0 && !p.held.empty(); --count) {
    p.open.push_back(std::move(p.held.front()));
    p.held.pop_front();
  }
}

std::vector<std::string> Gate::held(Way way) const {
  std::vector<std::string> texts;
  for (const wire::Frame& frame : path(way).held) {
    const auto packet = segment_of(frame);
    if (!packet) continue;
    texts.push_back(view::flags_text(packet->tcp.flags) +
                    (packet->payload_size > 0 ? fmt::format("({})", packet->payload_size) : ""));
  }
  return texts;
}

}  // namespace synfin::lab
