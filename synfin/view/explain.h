// SPDX-License-Identifier: Apache-2.0
//
// What `synfin explain` and `synfin settings` print.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

namespace synfin::view {

/// A reason (`fin_received`), a state (`SYN-RECEIVED`, `syn_recv`: RFC's or ss's spelling, any case), a
/// setting (`tcp_rmem`), a counter (`ListenOverflows`) or the cause of an ending (`timed_out`) in plain
/// words, lines ending in newlines. The error is one line without a newline that says what is unknown and
/// names the nearest names.
[[nodiscard]] std::expected<std::string, std::string> explain(std::string_view name);
/// Every state, reason, setting, counter and cause with its explanation.
std::string explain_all();
/// Every setting: name, default, range, unit, meaning, in aligned columns.
std::string settings_table();

/// How many single-letter insertions, deletions, replacements and swaps of neighbours lie between two words
/// (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace synfin::view
