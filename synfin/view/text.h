// SPDX-License-Identifier: Apache-2.0
//
// Small pieces of text that several views share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "synfin/base/time.h"
#include "synfin/wire/tcp.h"

namespace synfin::view {

/// `SYN,ACK`, always in the same order; empty when no bit is set.
std::string flags_text(wire::Flags flags);
/// The same with AE; `counts_marks`: without AE, CWR and ECE, which are the ACE field then.
std::string flags_text(const wire::TcpHeader& header, bool counts_marks);
/// `173,760`.
std::string grouped(std::uint64_t number);
/// Seconds with `decimals` (0 to 9) digits, rounded down: `0.000031`.
std::string seconds_text(Duration d, int decimals);
/// How many terminal columns UTF-8 text takes, one a code point (what the views print needs no more).
std::size_t columns(std::string_view utf8);
/// Breaks at spaces into lines of at most `width` columns; a longer word gets a line of its own. `\u00a0`
/// does not break and comes out as a space.
std::vector<std::string> wrap(std::string_view text, std::size_t width);
/// `text` with its spaces made unbreakable for `wrap`.
std::string unbreakable(std::string_view text);

}  // namespace synfin::view
