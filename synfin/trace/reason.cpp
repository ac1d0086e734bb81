// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/reason.h"

#include <array>
#include <utility>

namespace synfin::trace {
namespace {

struct ReasonText {
  std::string_view name, section, sentence;
};

constexpr std::array<ReasonText, kReasonCount> kReasonTexts{{
#define SYNFIN_REASON(id, name, section, sentence) {name, section, sentence},
    SYNFIN_REASONS(SYNFIN_REASON)
#undef SYNFIN_REASON
}};

const ReasonText& text(Reason r) {
  return kReasonTexts[std::to_underlying(r)];
}

}  // namespace

std::string_view name(Reason r) {
  return text(r).name;
}
std::string_view section(Reason r) {
  return text(r).section;
}
std::string_view sentence(Reason r) {
  return text(r).sentence;
}

std::optional<Reason> reason_named(std::string_view name) {
  for (std::size_t i = 0; i < kReasonTexts.size(); ++i) {
    if (kReasonTexts[i].name == name) return static_cast<Reason>(i);
  }
  return std::nullopt;
}

Reason reason_of(wire::ParseError e) {
  switch (e) {
    case wire::ParseError::kIpTooShort:
      return Reason::kIpTooShort;
    case wire::ParseError::kIpBadVersion:
      return Reason::kIpBadVersion;
    case wire::ParseError::kIpHeaderLength:
      return Reason::kIpHeaderLength;
    case wire::ParseError::kIpTotalLength:
      return Reason::kIpTotalLength;
    case wire::ParseError::kIpBadChecksum:
      return Reason::kIpBadChecksum;
    case wire::ParseError::kIpExtensionHeader:
      return Reason::kIpExtensionHeader;
    case wire::ParseError::kIpFragment:
      return Reason::kIpFragment;
    case wire::ParseError::kIpSourceRoute:
      return Reason::kIpSourceRoute;
    case wire::ParseError::kTcpTooShort:
      return Reason::kTcpTooShort;
    case wire::ParseError::kTcpDataOffset:
      return Reason::kTcpDataOffset;
    case wire::ParseError::kTcpOptionLength:
      return Reason::kTcpOptionLength;
    case wire::ParseError::kTcpOptionMalformed:
      return Reason::kTcpOptionMalformed;
    case wire::ParseError::kTcpBadChecksum:
      return Reason::kTcpBadChecksum;
    case wire::ParseError::kIcmpTooShort:
      return Reason::kIcmpTooShort;
    case wire::ParseError::kIcmpBadChecksum:
      return Reason::kIcmpBadChecksum;
    case wire::ParseError::kIcmpTruncatedQuote:
      return Reason::kIcmpTruncatedQuote;
  }
  return Reason::kNone;
}

}  // namespace synfin::trace
