// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN, the sender of data: what is ECN-capable, and what is made of the peer's counters (RFC 9768
// §3.2.2, §3.2.3, §4; RFC 3168 §6.1.2).
#include "accecn_host.h"

namespace synfin::protocol_test {
namespace {

class AccEcnSender : public AccEcnHost {
 protected:
  static constexpr std::uint32_t kMss = 1400;
  // So many full segments in flight.
  void sends(std::uint32_t segments) {
    writes(connection_, std::string(std::size_t{segments} * kMss, 'x'));
    EXPECT_EQ(sent().size(), segments);
  }
};
RAW_HOST_SUITE(AccEcnSender);

// §4 leaves RFC 3168 §6.1.4 and §6.1.5 as they are.
TEST_P(AccEcnSender, NewTextIsEcnCapableAndNothingElse) {
  open();
  writes(connection_, "data");
  const Packet data = only();
  EXPECT_TRUE(is_capable(data));
  EXPECT_EQ(data.tcp.ace(), 5);
  runs_for(2_s);
  const auto again = sent();
  ASSERT_FALSE(again.empty());
  for (const Packet& p : again) EXPECT_EQ(codepoint(p), 0);
  gives(peer(), ack(0, 4, 5), "more");
  runs_for(100_ms);
  EXPECT_EQ(codepoint(only()), 0);
}

// Once for what was in flight, and no CWR: "MUST NOT set CWR to indicate …" (§3.1.5).
TEST_P(AccEcnSender, MarksReduceTheWindowOnceARoundTrip) {
  open();
  writes(connection_, std::string(40'000, 'x'));
  ASSERT_EQ(sent().size(), 10u);
  const std::uint32_t before = window();
  gives(peer(), ack(0, kMss, 6));
  const std::uint32_t reduced = window();
  // CUBIC's share (RFC 9438 §4.6).
  EXPECT_LE(reduced, before / 10 * 7 + kMss);
  EXPECT_GE(reduced, before / 10 * 7 - kMss);
  EXPECT_EQ(count(Reason::kMarksHeard), 1u);
  for (std::uint8_t n = 2; n <= 10; ++n) {
    gives(peer(), ack(0, kMss * n, (5 + n) & 7));
    EXPECT_GE(window(), reduced) << "the same flight, segment " << int{n};
  }
  EXPECT_EQ(info().delivered_ce, 10u);
  EXPECT_EQ(count(Counter::kTCPDeliveredCE), 10u);
  EXPECT_EQ(count(Reason::kMarksHeard), 1u);
  for (const Packet& p : sent()) {
    EXPECT_EQ(p.tcp.ace(), 5) << "the peer's text was not marked";
    EXPECT_TRUE(is_capable(p));
  }
  EXPECT_EQ(count(Counter::kRetransSegs), 0u);
  const std::uint32_t later = window();
  gives(peer(), ack(0, 12 * kMss, (5 + 11) & 7));
  EXPECT_LT(window(), later) << "the next flight";
}

// §3.2.2.2 and appendix A.1: what was overtaken says nothing.
TEST_P(AccEcnSender, AnOlderAcknowledgementSaysNothing) {
  open();
  sends(10);
  gives(peer(), ack(0, 4 * kMss, 7));
  EXPECT_EQ(info().delivered_ce, 2u);
  gives(peer(), ack(0, 2 * kMss, 6));
  gives(peer(), ack(0, 4 * kMss, 1));
  EXPECT_EQ(info().delivered_ce, 2u);
  gives(peer(), ack(0, 5 * kMss, 0));
  EXPECT_EQ(info().delivered_ce, 3u);
}

TEST_P(AccEcnSender, ALaterTimestampMakesUpForNothingAcknowledged) {
  TcpHeader h = syn();
  stamp(h, 100);
  open(kNotEct, h);
  TcpHeader text = ack(0, 0, 6);
  stamp(text, 101);
  gives(peer(), text, "x");
  EXPECT_EQ(info().delivered_ce, 1u);
  text = ack(1, 0, 7);
  stamp(text, 101);
  gives(peer(), text, "x");
  EXPECT_EQ(info().delivered_ce, 1u) << "no later";
}

// §3.2.2.5.2, appendix A.2.1, with its own figures.
TEST_P(AccEcnSender, WhereAckedSegmentsCouldHideARoundOfTheCounterItIsAssumed) {
  stack_.settings().tcp_init_cwnd = 30;
  open();
  sends(30);
  gives(peer(), ack(0, 9 * kMss, (5 + 2) & 7));
  EXPECT_EQ(info().delivered_ce, 2u);
  gives(peer(), ack(0, 19 * kMss, (7 + 2) & 7));
  EXPECT_EQ(info().delivered_ce, 12u) << "2, or 10";
}

// … unless acknowledgements are always that large.
TEST_P(AccEcnSender, LargeAcknowledgementsAreNotTakenForLostOnes) {
  stack_.settings().tcp_init_cwnd = 40;
  open();
  sends(40);
  for (std::uint32_t n = 1; n <= 4; ++n) gives(peer(), ack(0, n * 10 * kMss, 5));
  EXPECT_EQ(info().delivered_ce, 8u) << "the first may be";
}

// Appendix A.2.2: the option tells.
TEST_P(AccEcnSender, TheOptionTellsWhetherTheCounterWentRound) {
  stack_.settings().tcp_init_cwnd = 30;
  open();
  sends(30);
  gives(peer(), with_octets(ack(0, kMss, 5), 1 + kMss, 0));
  gives(peer(), with_octets(ack(0, 11 * kMss, 7), 1 + 9 * kMss, 2 * kMss));
  EXPECT_EQ(info().delivered_ce, 2u) << "two segments' octets";
  gives(peer(), with_octets(ack(0, 21 * kMss, 1), 1 + 9 * kMss, 12 * kMss));
  EXPECT_EQ(info().delivered_ce, 12u) << "ten segments' octets";
  EXPECT_EQ(info().delivered_octets.ce, 12 * kMss);
  EXPECT_EQ(info().delivered_octets.ect0, 9 * kMss);
}

// §3.2.3: either order, any number of whole fields.
TEST_P(AccEcnSender, EveryFormOfTheOptionIsRead) {
  open();
  sends(4);
  TcpHeader h = ack(0, kMss, 5);
  h.options.present |= TcpOptions::kEcnOctets;
  h.options.ecn = {.fields = 3, .reversed = true, .ect0 = 1401, .ce = 0, .ect1 = 1};
  gives(peer(), h);
  EXPECT_EQ(info().delivered_octets.ect0, 1400u);
  h = ack(0, 2 * kMss, 6);
  h.options.present |= TcpOptions::kEcnOctets;
  h.options.ecn = {.fields = 2, .reversed = true, .ect0 = 0, .ce = 1400, .ect1 = 1};
  gives(peer(), h);
  EXPECT_EQ(info().delivered_octets.ce, 1400u);
  EXPECT_EQ(info().delivered_octets.ect0, 1400u);
  gives(peer(), with_octets(ack(0, 3 * kMss, 6), 2801, 0, 0, 1));
  EXPECT_EQ(info().delivered_octets.ect0, 2800u);
  gives(peer(), with_octets(ack(0, 4 * kMss, 6), 0, 0, 0, 0));
  EXPECT_EQ(info().delivered_octets.ect0, 2800u);
  EXPECT_EQ(info().delivered_ce, 1u);
}

// Where there are no timestamps and no option, marks are still heard of together with SACK blocks.
TEST_P(AccEcnSender, SackBlocksAreProgress) {
  TcpHeader h = syn();
  h.options.present |= TcpOptions::kSackPermitted;
  open(kNotEct, h);
  sends(5);
  TcpHeader sack = ack(0, 0, 6);
  sack.options.present |= TcpOptions::kSack;
  sack.options.sack_count = 1;
  sack.options.sack[0] = {syn_ack_.seq + 1 + kMss, syn_ack_.seq + 1 + 2 * kMss};
  gives(peer(), sack);
  EXPECT_EQ(info().delivered_ce, 1u);
}

// RFC 3168 itself is told of in segments, too, as Linux counts them.
TEST_P(AccEcnSender, ClassicEchoesCountAllThatIsAcknowledged) {
  listener_ = listens();
  syn_ack_ = knocks(peer(), with_ace(syn(), kClassic)).tcp;
  gives(peer(), third(syn_ack_));
  connection_ = accepts(listener_);
  sends(6);
  gives(peer(), ack(0, 2 * kMss, 1));
  gives(peer(), ack(0, 3 * kMss, 0));
  EXPECT_EQ(info().delivered_ce, 2u);
  EXPECT_EQ(count(Counter::kTCPDeliveredCE), 2u);
  EXPECT_EQ(info().received_ce, 0u);
}

}  // namespace
}  // namespace synfin::protocol_test
