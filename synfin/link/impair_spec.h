// SPDX-License-Identifier: Apache-2.0
//
// What `--impair` says. A specification is a list of items, separated by commas:
//
//     loss=1%,delay=20ms,in:jitter=5ms,out:rate=100mbit,seed=7
//
// An item without a prefix holds for both directions; `in:` and `out:` (seen from this program) make that one
// item hold for one direction only, so `in:loss=5%,delay=10ms` loses what comes in and delays both. Of two
// items about the same thing the later one counts, over repeated options as well.
//
// | item        | meaning                                                          | values |
// |-------------|------------------------------------------------------------------|----------------------------------------|
// | loss=P      | share of packets lost                                            | 0% to 100%, decimals
// allowed           | | dup=P       | share of packets that arrive twice                               | " |
// | corrupt=P   | share of packets with one bit flipped                            | " | | reorder=P   |
// share of packets that overtake: sent without the delay; where no | "                                      |
// |             | delay is set, share held back by three packets or 1 ms           | | | delay=T     | time
// that each packet takes longer                               | us, ms, s; at most 1 h                 | |
// jitter=T    | the delay varies evenly by up to this, up or down but not below 0;| " | |             |
// packets may overtake each other by it                            |                                        |
// | rate=R      | packets leave one after the other at this rate                   | bit, kbit, mbit, gbit (a
// second, 10^n) | | queue=N     | packets that wait for `rate`; what comes on top is lost          | 1 to
// 1000000; default 1000             | | seed=N      | what decides about every packet; both directions, no
// prefix      | 0 to 2^64-1                            |
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
