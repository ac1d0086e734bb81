// SPDX-License-Identifier: Apache-2.0
//
// What `--impair` says. A specification is a list of items, separated by commas:
//
//     loss=1%,delay=20ms,in:jitter=5ms,out:rate=100mbit,seed=7
//
// An item without a prefix holds for both directions. `in:` and `out:` (seen from this program) make that one
// item hold for one direction only: `in:loss=5%,delay=10ms` loses what comes in and delays both. Of two items
// about the same thing the later one counts, over repeated options as well.
//
//   loss=P     share of packets lost; P is a percentage, 0% to 100%, decimals allowed
//   dup=P      share of packets that arrive twice
//   corrupt=P  share of packets with one bit flipped
//   mark=P     share of ECN-capable packets that are marked as by a congested router (RFC 3168 §5); of others
//              none
//   reorder=P  share of packets that overtake: they are sent without the delay. Where no delay is set, share
//              of packets held back until three others have passed, at most 1 ms
//   delay=T    time that each packet takes longer; T in us, ms or s, at most 3600s
//   jitter=T   the delay varies evenly by up to T, up or down but not below 0; packets may overtake by it
//   rate=R     packets leave one after the other at R bit, kbit, mbit or gbit a second (powers of ten)
//   queue=N    packets that wait for the rate, 1 to 1000000, default 1000; what comes on top is lost
//   seed=N     decides about every packet, 0 to 2^64-1; one for both directions, so without prefix
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "synfin/base/time.h"

namespace synfin::link {

/// What happens to packets of one direction. Shares are from 0 to 1.
struct Impairment {
  double loss = 0;
  double duplicate = 0;
  double corrupt = 0;
  double mark = 0;
  double reorder = 0;
  Duration delay;
  Duration jitter;
  /// Bits a second, network header included; 0: no limit.
  std::uint64_t rate = 0;
  /// Packets; only with `rate`.
  std::uint32_t queue = 1000;

  friend bool operator==(const Impairment&, const Impairment&) = default;
};

struct ImpairSpec {
  static constexpr std::uint64_t kDefaultSeed = 1;

  Impairment in;
  Impairment out;
  /// None given: `kDefaultSeed`, unless the program draws one.
  std::optional<std::uint64_t> seed;

  friend bool operator==(const ImpairSpec&, const ImpairSpec&) = default;
};

/// Reads `text` on top of `base`, which is how repeated options add up. The error names the item and what is
/// allowed.
[[nodiscard]] std::expected<ImpairSpec, std::string> parse_impair(std::string_view text,
                                                                  const ImpairSpec& base = {});

}  // namespace synfin::link
