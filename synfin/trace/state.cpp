// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/state.h"

#include <array>
#include <utility>

namespace synfin::trace {
namespace {

struct StateText {
  std::string_view name, ss_name, meaning;
};

constexpr std::array<StateText, kStateCount> kStateTexts{{
    {"CLOSED", "UNCONN", "There is no connection."},
    {"LISTEN", "LISTEN", "Waiting for anybody's SYN."},
    {"SYN-SENT", "SYN-SENT", "We sent a SYN and wait for the peer's SYN and its acknowledgement of ours."},
    {"SYN-RECEIVED", "SYN-RECV",
     "Both SYNs have been sent; the acknowledgement of ours has not arrived yet."},
    {"ESTABLISHED", "ESTAB", "Open: data flows both ways."},
    {"FIN-WAIT-1", "FIN-WAIT-1",
     "We closed first; our FIN has not been acknowledged yet. The peer may still send."},
    {"FIN-WAIT-2", "FIN-WAIT-2", "Our FIN is acknowledged; the peer may still send and has not closed yet."},
    {"CLOSE-WAIT", "CLOSE-WAIT",
     "The peer has closed; our program may still send and has not closed yet. A connection that stays here "
     "waits for its own program."},
    {"CLOSING", "CLOSING", "Both closed at once: the FINs crossed, and ours has not been acknowledged yet."},
    {"LAST-ACK", "LAST-ACK",
     "The peer closed first, then we did; only the acknowledgement of our FIN is missing."},
    {"TIME-WAIT", "TIME-WAIT",
     "Both FINs are acknowledged. We wait 2 MSL, in case our last ACK was lost, and until old segments have "
     "died out."},
}};

}  // namespace

std::string_view name(State s) {
  return kStateTexts[std::to_underlying(s)].name;
}
std::string_view ss_name(State s) {
  return kStateTexts[std::to_underlying(s)].ss_name;
}
std::string_view meaning(State s) {
  return kStateTexts[std::to_underlying(s)].meaning;
}

}  // namespace synfin::trace
