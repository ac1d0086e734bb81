// SPDX-License-Identifier: Apache-2.0
//
// A segment in words and numbers, as ladders and captures print it.
#pragma once

#include <string>
#include <vector>

#include "synfin/trace/event.h"
#include "synfin/view/flow_table.h"

namespace synfin::view {

enum class Numbers : std::uint8_t {
  kRelative,
  kAbsolute
};
enum class ShowTimestamps : std::uint8_t {
  kOnSyn,
  kAlways
};

/// The parts of one line, the most important first: `PSH,ACK`, `seq 1:78(77)`, `ack 1`, `win 64256`; on a
/// connection with AccECN `ace 5`, the lowest three bits of how many segments arrived marked, and 5.
std::vector<std::string> segment_parts(const trace::Event& e, const Flow& flow, Numbers numbers);
/// `mss 1460, sackOK, TS 100/0, wscale 7`; `marks ECT0 1461 CE 0` is an AccECN option, in octets; empty without options worth a word. TS is TSval/TSecr.
std::string options_text(const trace::Event& e, const Flow& flow, Numbers numbers, ShowTimestamps timestamps);

}  // namespace synfin::view
