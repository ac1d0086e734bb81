// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/counters.h"

namespace synfin::trace {
namespace {

struct CounterText {
  std::string_view name, meaning;
};

constexpr std::array<CounterText, std::to_underlying(Counter::kCount)> kCounterTexts{{
#define SYNFIN_COUNTER(name, meaning) {#name, meaning},
    SYNFIN_COUNTERS(SYNFIN_COUNTER)
#undef SYNFIN_COUNTER
}};

}  // namespace

std::string_view name(Counter c) {
  return kCounterTexts[std::to_underlying(c)].name;
}
std::string_view meaning(Counter c) {
  return kCounterTexts[std::to_underlying(c)].meaning;
}

}  // namespace synfin::trace
