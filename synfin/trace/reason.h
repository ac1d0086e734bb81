// SPDX-License-Identifier: Apache-2.0
//
// Why something happened: one enumeration for every fate of a segment and every change of state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "synfin/trace/reasons.def"
#include "synfin/wire/parse_error.h"

namespace synfin::trace {

enum class Reason : std::uint8_t {
#define SYNFIN_REASON(id, name, section, sentence) id,
  SYNFIN_REASONS(SYNFIN_REASON)
#undef SYNFIN_REASON
};

#define SYNFIN_REASON(id, name, section, sentence) +1
inline constexpr std::size_t kReasonCount = 0 SYNFIN_REASONS(SYNFIN_REASON);
#undef SYNFIN_REASON

/// `out_of_window`; what `synfin explain`, events and messages call it.
std::string_view name(Reason r);
/// `RFC 9293 §3.10.7.4`; empty where no RFC has a say.
std::string_view section(Reason r);
/// One sentence for people.
std::string_view sentence(Reason r);
std::optional<Reason> reason_named(std::string_view name);

Reason reason_of(wire::ParseError e);

}  // namespace synfin::trace
