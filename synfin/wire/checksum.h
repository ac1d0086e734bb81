// SPDX-License-Identifier: Apache-2.0
//
// The Internet checksum (RFC 1071), over pieces.
#pragma once

#include <cstdint>

#include "synfin/base/bytes.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"

namespace synfin::wire {

/// The one's-complement sum of `bytes` read as big-endian 16-bit words, an odd last octet padded with zero;
/// folded to 16 bits, not complemented. Picks the fastest code the processor has.
std::uint16_t ones_sum(Bytes bytes);
/// The same by the definition, a word at a time: what `ones_sum` is tested and measured against.
std::uint16_t ones_sum_reference(Bytes bytes);

/// A sum over pieces of any length, odd ones included.
class ChecksumAccumulator {
 public:
  void add(Bytes bytes);
  void add_u16(std::uint16_t word);  // only at an even position
  /// The pseudo-header of RFC 9293 §3.1 / RFC 8200 §8.1; call it first.
  void add_pseudo_header(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                         std::uint32_t length);
  /// [offset, offset + count) of the packet.
  void add_frame(const Frame& frame, std::size_t offset, std::size_t count);
  /// Folded and complemented: what goes into the field. 0 over data that contains a right checksum.
  std::uint16_t finish() const;

 private:
  std::uint64_t sum_ = 0;
  bool odd_ = false;
};

}  // namespace synfin::wire
