// SPDX-License-Identifier: Apache-2.0
//
// What is counted, by Linux's SNMP and TcpExt names (`nstat`), and by reason.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "synfin/trace/reason.h"

namespace synfin::trace {

// X(name, meaning)
// clang-format off
#define SYNFIN_COUNTERS(X) \
  X(InSegs,               "TCP segments received, faulty ones included.") \
  X(OutSegs,              "TCP segments sent, retransmissions left out, resets included.") \
  X(InErrs,               "TCP segments received with an error.") \
  X(InCsumErrors,         "TCP segments received with a wrong checksum.") \
  X(RetransSegs,          "TCP segments sent again.") \
  X(OutRsts,              "Resets sent.") \
  X(ActiveOpens,          "Connections that went from CLOSED to SYN-SENT.") \
  X(PassiveOpens,         "Connections opened by a peer: counted by its third segment, or before it where Fast Open or the program let the SYN in.") \
  X(AttemptFails,         "Connections that ended in SYN-SENT or SYN-RECEIVED.") \
  X(EstabResets,          "Connections that the peer reset in ESTABLISHED or CLOSE-WAIT.") \
  X(ListenOverflows,      "Times the accept queue of a listener was full.") \
  X(ListenDrops,          "SYNs dropped at a listener, for whatever reason.") \
  X(TCPReqQFullDoCookies, "SYNs answered with a cookie because the SYN queue was full.") \
  X(SyncookiesSent,       "SYN cookies sent.") \
  X(SyncookiesRecv,       "Third segments that brought a good SYN cookie back.") \
  X(SyncookiesFailed,     "Third segments whose SYN cookie was not good.") \
  X(TCPReqQFullDrop,      "SYNs dropped because the SYN queue was full.") \
  X(EmbryonicRsts,        "Half-open connections ended by a reset, the peer's or ours.") \
  X(TCPDeferAcceptDrop,   "Third segments without data for listeners that wait for data.") \
  X(TCPFastOpenActive,    "Fast Open connections whose SYN's data was acknowledged by the SYN-ACK.") \
  X(TCPFastOpenActiveFail, "Fast Open connections whose SYN's data was not acknowledged by the SYN-ACK.") \
  X(TCPFastOpenPassive,   "Connections opened by a SYN with a good Fast Open cookie.") \
  X(TCPFastOpenPassiveFail, "SYNs whose Fast Open cookie was not good.") \
  X(TCPFastOpenListenOverflow, "SYNs with a good Fast Open cookie beyond the listener's limit.") \
  X(TCPFastOpenCookieReqd, "SYNs that asked for a Fast Open cookie.") \
  X(TCPFastOpenBlackhole, "Times Fast Open was suspended because SYNs with data vanish on the way.") \
  X(SynFloodAlarms,       "Times a listener began to see a flood, a slow program or lost SYN-ACKs.") \
  X(TCPTimeouts,          "Retransmission timeouts.") \
  X(TCPSynRetrans,        "SYNs and SYN-ACKs sent again.") \
  X(TCPFastRetrans,       "Segments sent again by fast retransmit.") \
  X(TCPSlowStartRetrans, "Segments sent again behind a retransmission timeout.") \
  X(TCPLossProbes, "Tail loss probes sent.") \
  X(TCPLossProbeRecovery, "Losses that a tail loss probe repaired.") \
  X(TCPSackRecovery, "Times that recovery began by selective acknowledgements.") \
  X(TCPRenoRecovery, "Times that recovery began by duplicate acknowledgements.") \
  X(TCPLostRetransmit, "Retransmissions found lost.") \
  X(TCPSACKReorder, "Times that reordering showed in selective acknowledgements.") \
  X(TCPSACKReneging, "Times that a peer dropped what it had acknowledged selectively.") \
  X(TCPSACKDiscard, "SACK blocks that made no sense.") \
  X(TCPDSACKOldSent, "DSACKs sent about data that had been acknowledged.") \
  X(TCPDSACKOfoSent, "DSACKs sent about data beyond a hole.") \
  X(TCPDSACKRecv, "DSACKs about data that had been acknowledged.") \
  X(TCPDSACKOfoRecv, "DSACKs about data beyond a hole.") \
  X(TCPFullUndo, "Reductions taken back when recovery ended.") \
  X(TCPPartialUndo, "Reductions taken back within recovery.") \
  X(TCPDSACKUndo, "Reductions taken back because of DSACKs.") \
  X(TCPLossUndo, "Reductions taken back behind a timeout.") \
  X(TCPSpuriousRTOs, "Retransmission timeouts found to be too early (F-RTO).") \
  X(TCPAbortOnData,       "Connections reset because data came after the program had closed.") \
  X(TCPAbortOnClose,      "Connections reset because the program closed with data unread.") \
  X(TCPAbortOnMemory,     "Connections reset because tcp_max_orphans without a program existed.") \
  X(TCPAbortOnTimeout,    "Connections given up because the peer did not answer.") \
  X(TCPAbortOnLinger,     "Connections forgotten in FIN-WAIT-2 by tcp_fin_timeout.") \
  X(TCPTimeWaitOverflow,  "Connections not kept in TIME-WAIT because of tcp_max_tw_buckets.") \
  X(TW,                   "TIME-WAIT records that ran out.") \
  X(TWRecycled,           "TIME-WAIT records that made way for a new connection, by a newer SYN or by connect (tcp_tw_reuse).") \
  X(PAWSEstab,            "Segments rejected by their timestamp.") \
  X(TCPChallengeACK,      "Challenge ACKs sent.") \
  X(TCPSYNChallenge,      "Challenge ACKs sent for a SYN.") \
  X(TCPKeepAlive,         "Keep-alive probes sent.") \
  X(DelayedACKs,          "Acknowledgements that left by the delayed-ACK timer.") \
  X(TCPOFOQueue,          "Segments kept out of order.") \
  X(TCPBacklogDrop,       "Data dropped because packet memory was used up.") \
  X(InNoECTPkts,          "TCP packets received that are not ECN-capable.") \
  X(InECT1Pkts,           "TCP packets received as ECT(1).") \
  X(InECT0Pkts,           "TCP packets received as ECT(0): ECN-capable, and not marked.") \
  X(TCPOFODrop,           "Segments beyond a hole dropped because packet memory was used up.") \
  X(TCPMemoryPressures,   "Times that packet memory came under pressure (tcp_mem).") \
  X(PruneCalled,          "Times that a connection had to give packet memory back: beyond its buffer, or in pressure.") \
  X(RcvPruned,            "Times that this left it with more than its buffer still.") \
  X(OfoPruned,            "Times that text beyond a hole was dropped for it.") \
  X(TCPRcvCollapsed,      "Pieces of text that were copied together for it.") \
  X(InCEPkts,             "Packets received with a congestion mark (ECN).") \
  X(TCPDeliveredCE,       "Segments that the peer said had arrived marked; with RFC 3168 all that an acknowledgement with ECE tells of.") \
  X(InEchos,              "Pings received.") \
  X(InIcmpErrors,         "ICMP errors received.")
// clang-format on

enum class Counter : std::uint8_t {
#define SYNFIN_COUNTER(name, meaning) k##name,
  SYNFIN_COUNTERS(SYNFIN_COUNTER)
#undef SYNFIN_COUNTER
  kCount
};

std::string_view name(Counter c);
std::string_view meaning(Counter c);

struct Counters {
  std::array<std::uint64_t, std::to_underlying(Counter::kCount)> values{};
  /// How often each reason decided about a received packet.
  std::array<std::uint64_t, kReasonCount> reasons{};

  std::uint64_t& operator[](Counter c) { return values[std::to_underlying(c)]; }
  std::uint64_t operator[](Counter c) const { return values[std::to_underlying(c)]; }
  std::uint64_t& operator[](Reason r) { return reasons[std::to_underlying(r)]; }
  std::uint64_t operator[](Reason r) const { return reasons[std::to_underlying(r)]; }
};

}  // namespace synfin::trace
