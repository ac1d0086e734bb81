// SPDX-License-Identifier: Apache-2.0
//
// Writing a TCP header, in line: every segment that leaves comes by here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "synfin/wire/header_writer.h"
#include "synfin/wire/tcp.h"
#include "synfin/wire/tcp_options.h"

namespace synfin::wire {

/// NOP NOP timestamps: the only options of nearly every segment behind the handshake (RFC 7323 appendix A).
inline constexpr std::uint32_t kAlignedTimestamps = 0x0101'080a;

/// Writes `emitted_size(header)` octets, checksum field 0.
inline Written write_tcp(const TcpHeader& h, std::byte* out) {
  const TcpOptions& o = h.options;
  Written options;
  if (o.present == TcpOptions::kTimestamps) {
    HeaderWriter w{out + TcpHeader::kMinSize};
    w.word(kAlignedTimestamps);
    w.word(o.timestamps.value);
    w.word(o.timestamps.echo);
    options = w.written();
  } else if (o.present != 0) {
    options = write_tcp_options(o, out + TcpHeader::kMinSize);
  }
  const std::size_t size = TcpHeader::kMinSize + options.size;
  HeaderWriter w{out};
  w.word(std::uint32_t{h.source_port} << 16 | h.destination_port);
  w.word(h.seq.raw());
  w.word(h.ack.raw());
  w.word(static_cast<std::uint32_t>(size / 4) << 28 | (h.reserved & 0x0fu) << 24 |
         std::uint32_t{h.flags.bits()} << 16 | h.window.field);
  w.word(h.urgent_pointer);
  return {size, w.written().sum + options.sum};
}

}  // namespace synfin::wire
