// SPDX-License-Identifier: Apache-2.0
//
// Urgent data: RFC 9293 §3.8.5, §3.10.2 and step six of §3.10.7.4, RFC 6093. It stays in the stream; what is
// said besides is up to where it goes.
#include <algorithm>

#include "protocol_test_support.h"
#include "synfin/sim/network.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint8_t kUrgentData = ACK | URG | PSH;

std::uint32_t full_segment(const Ladder& l) {
  return std::min(1460u, l.own_mss());
}

std::uint32_t urgent(Ladder& l) {
  const auto status = l.stack().status(l.connection());
  EXPECT_TRUE(status);
  return status ? status->urgent : 0;
}

// Behind which octet, relative to our SYN, a segment says that the urgent data ends; 0: it says nothing.
std::uint32_t mark(const Ladder& l, const wire::TcpPacket& p) {
  return p.tcp.flags.urg() ? p.tcp.seq.raw() + p.tcp.urgent_pointer - l.stack_iss() : 0;
}

// The FIN takes a number and no octet.
LADDER_TEST(UrgentReceived, EndsWhereItDidOnceTheFinHasCome) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.flags = kUrgentData | FIN, .seq = 1, .ack = 1, .len = 10, .urgent_pointer = 10}).whatever();
  EXPECT_EQ(urgent(l), 10u) << l.text();
  l.app_reads(9);
  EXPECT_EQ(urgent(l), 1u) << l.text();
  l.app_reads(1).app_reads_end();
  EXPECT_EQ(urgent(l), 0u) << l.text();
}

// RFC 9293: MUST-30, MUST-32.
LADDER_TEST(UrgentReceived, IsToldAtOnceAndStaysInTheStream) {
  Ladder l(variant);
  l.opened_passively().forgets_events();
  l.receives({.flags = ACK | PSH, .seq = 1, .ack = 1, .len = 10}).no_event(stack::kUrgent);
  l.receives({.flags = kUrgentData, .seq = 11, .ack = 1, .len = 10, .urgent_pointer = 10});
  l.event(stack::kUrgent | kReadable).app_reads(20).whatever();
}

// Before any of it has arrived: a bare segment, or one beyond a hole.
// RFC 9293: MUST-32, MUST-33.
LADDER_TEST(UrgentReceived, IsToldBeforeTheDataArrives) {
  Ladder l(variant);
  l.opened_passively().forgets_events();
  l.receives({.flags = ACK | URG, .seq = 1, .ack = 1, .urgent_pointer = 100}).event(stack::kUrgent);
  EXPECT_EQ(urgent(l), 100u) << l.text();
  l.app_read_fails(Error::kWouldBlock).receives({.seq = 1, .ack = 1, .len = 100}).app_reads(100).whatever();
  EXPECT_EQ(urgent(l), 0u) << l.text();
  l.forgets_events();
  l.receives({.flags = kUrgentData, .seq = 151, .ack = 1, .len = 10, .urgent_pointer = 4})
      .event(stack::kUrgent);
  EXPECT_EQ(urgent(l), 54u) << l.text();
  l.whatever().receives({.seq = 101, .ack = 1, .len = 50}).whatever().app_reads(60).whatever();
  EXPECT_EQ(urgent(l), 0u) << l.text();
}

// "whenever it receives an urgent pointer and there was previously no pending urgent data, or whenever the
// urgent pointer advances".
// RFC 9293: MUST-32.
LADDER_TEST(UrgentReceived, IsToldAgainOnlyWhereThePointerAdvances) {
  Ladder l(variant);
  l.opened_passively().forgets_events();
  l.receives({.flags = kUrgentData, .seq = 1, .ack = 1, .len = 10, .urgent_pointer = 50})
      .event(stack::kUrgent);
  l.forgets_events().whatever();
  // The same octet again, and one before it.
  l.receives({.flags = kUrgentData, .seq = 11, .ack = 1, .len = 10, .urgent_pointer = 40}).whatever();
  l.receives({.flags = kUrgentData, .seq = 21, .ack = 1, .len = 10, .urgent_pointer = 5}).whatever();
  l.no_event(stack::kUrgent);
  EXPECT_EQ(urgent(l), 50u) << l.text();
  l.receives({.flags = kUrgentData, .seq = 31, .ack = 1, .len = 10, .urgent_pointer = 21})
      .event(stack::kUrgent);
  EXPECT_EQ(urgent(l), 51u) << l.text();
  // Read, and begun anew.
  l.whatever()
      .app_reads(40)
      .receives({.seq = 41, .ack = 1, .len = 11})
      .app_reads(11)
      .whatever()
      .forgets_events();
  l.receives({.flags = kUrgentData, .seq = 52, .ack = 1, .len = 1, .urgent_pointer = 1})
      .event(stack::kUrgent);
}

// RFC 9293: MUST-33, MUST-62.
LADDER_TEST(UrgentReceived, EndsBeforeTheOctetThatThePointerNames) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.flags = kUrgentData, .seq = 1, .ack = 1, .len = 20, .urgent_pointer = 8}).whatever();
  for (std::uint32_t left = 8; left > 0; --left) {
    EXPECT_EQ(urgent(l), left) << l.text();
    l.app_reads(1).whatever();
  }
  EXPECT_EQ(urgent(l), 0u) << l.text();
  l.app_reads(12).whatever();
  EXPECT_EQ(urgent(l), 0u) << l.text();
}

// Far more than one pointer can say.
// RFC 9293: MUST-31.
LADDER_TEST(UrgentReceived, MayBeOfAnyLength) {
  Ladder l(variant);
  l.opened_passively();
  const std::uint32_t size = full_segment(l);
  std::int64_t seq = 1;
  for (int i = 0; i < 200; ++i) {
    l.receives({.flags = kUrgentData, .seq = seq, .ack = 1, .len = size, .urgent_pointer = 0xffff});
    seq += size;
    EXPECT_EQ(urgent(l), 0xffffu) << l.text();
    l.whatever().event(stack::kUrgent).app_reads(size).whatever().forgets_events();
  }
}

// §3.8.5: "a TCP receiver should be robust to invalid urgent pointer values": one that points to what was
// read long ago, one to nothing, one with no URG beside it.
LADDER_TEST(UrgentReceived, PointersThatSayNothingAreNoUrgentData) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 100}).app_reads(100).whatever().forgets_events();
  l.receives({.flags = kUrgentData, .seq = 51, .ack = 1, .len = 50, .urgent_pointer = 30}).whatever();
  l.receives({.flags = ACK | URG, .seq = 101, .ack = 1, .urgent_pointer = 0}).whatever();
  l.receives({.flags = ACK, .seq = 101, .ack = 1, .urgent_pointer = 9}).whatever();
  // Outside the window, and beyond what was sent, nothing in a segment counts.
  l.receives({.flags = ACK | URG, .seq = 0x4000'0000, .ack = 1, .urgent_pointer = 9}).whatever();
  l.receives({.flags = ACK | URG, .seq = 101, .ack = 1000, .urgent_pointer = 9}).whatever();
  l.no_event(stack::kUrgent);
  EXPECT_EQ(urgent(l), 0u) << l.text();
}

// A pointer that was never reached must not come back to life when the numbers have gone half around.
LADDER_TEST(UrgentReceived, IsOverOnceItWasRead) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.flags = kUrgentData, .seq = 1, .ack = 1, .len = 1, .urgent_pointer = 1})
      .app_reads(1)
      .whatever();
  const std::uint32_t size = full_segment(l);
  std::int64_t seq = 2;
  for (int i = 0; i < 100; ++i) {
    l.receives({.seq = seq, .ack = 1, .len = size}).whatever().app_reads(size).whatever();
    seq += size;
    ASSERT_EQ(urgent(l), 0u) << l.text();
  }
}

// RFC 9293: MUST-66.
LADDER_TEST(ZeroReceiveWindow, UrgentPointerIsProcessed) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 4000;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively().receives({.seq = -1, .ack = 1});
  const auto answer = l.take_all();
  ASSERT_EQ(answer.size(), 1u) << l.text();
  const std::uint32_t window = answer[0].tcp.window.field;
  std::int64_t seq = 1;
  for (std::uint32_t left = window; left > 0;) {
    const std::uint32_t len = std::min(1000u, left);
    l.receives({.seq = seq, .ack = 1, .len = len});
    seq += len;
    left -= len;
    l.sends_within(40_ms, {.flags = ACK, .ack = seq});
  }
  l.forgets_events();
  l.receives({.flags = kUrgentData, .seq = seq, .ack = 1, .len = 1, .urgent_pointer = 1});
  l.sends({.flags = ACK, .ack = seq, .window = 0}).event(stack::kUrgent);
  EXPECT_EQ(urgent(l), window + 1) << l.text();
  l.forgets_events().receives({.flags = ACK | URG, .seq = seq, .ack = 1, .urgent_pointer = 2}).whatever();
  l.event(stack::kUrgent);
}

// RFC 9293: MUST-30, MUST-62.
LADDER_TEST(UrgentSent, PointerNamesTheOctetBehind) {
  Ladder l(variant);
  l.opened_passively();
  l.app_sends_urgent(10);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_EQ(sent[0].payload_size, 10u);
  EXPECT_EQ(mark(l, sent[0]), 11u) << l.text();
  EXPECT_EQ(sent[0].tcp.urgent_pointer, 10u);
  // Retransmitted with it, and over once it is acknowledged.
  l.after(1_s);
  for (const auto& p : l.take_all()) EXPECT_EQ(mark(l, p), 11u) << l.text();
  l.receives({.seq = 1, .ack = 11, .len = 5}).app_reads(5);
  l.after(50_ms);
  for (const auto& p : l.take_all()) EXPECT_EQ(mark(l, p), 0u) << l.text();
}

// Every segment before its end points there, those with data that was queued before included; none behind.
// RFC 9293: MUST-31.
LADDER_TEST(UrgentSent, IsOnEverySegmentUpToItsEnd) {
  Ladder l(variant, {.peer = {.wscale = 8}, .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 1000; }});
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000).sends_nothing();
  l.app_sends_urgent(200'000).whatever();
  l.app_sends(10'000).whatever();
  l.receives({.seq = 1, .ack = 1, .window = 60'000});
  std::size_t before = 0, behind = 0;
  for (const auto& p : l.take_all()) {
    const std::uint32_t seq = p.tcp.seq.raw() - l.stack_iss();
    if (seq < 201'001) {
      ++before;
      ASSERT_EQ(mark(l, p), std::min(seq + 0xffff, 201'001u)) << l.text();
    } else {
      ++behind;
      ASSERT_EQ(mark(l, p), 0u) << l.text();
    }
  }
  EXPECT_GT(before, 100u) << l.text();
  EXPECT_GT(behind, 4u) << l.text();
}

// A closed window keeps the data, not the news: a bare segment goes at once, and probes say it again.
// RFC 9293: MUST-30.
LADDER_TEST(UrgentSent, GoesAheadOfWhatHasToWait) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0});
  l.app_sends_urgent(10);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_EQ(sent[0].payload_size, 0u);
  EXPECT_EQ(mark(l, sent[0]), 11u) << l.text();
  l.after(2_s);
  const auto probes = l.take_all();
  ASSERT_FALSE(probes.empty()) << l.text();
  for (const auto& p : probes) EXPECT_EQ(mark(l, p), 11u) << l.text();
}

// Nor does it wait for an acknowledgement (Nagle), nor does one that had to.
LADDER_TEST(UrgentSent, DoesNotWaitForNagle) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).sends({.seq = 1, .len = 10}).app_sends(10).sends_nothing();
  l.app_sends_urgent(1);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_EQ(sent[0].payload_size, 11u);
  EXPECT_EQ(mark(l, sent[0]), 22u) << l.text();
}

// Before the handshake has ended: with the data, and not on the SYN.
LADDER_TEST(UrgentSent, BeforeTheConnectionIsOpenFollowsIt) {
  Ladder l(variant);
  l.app_connects().sends({.flags = SYN, .seq = 0}).app_sends_urgent(10);
  for (const auto& p : l.take_all()) EXPECT_FALSE(p.tcp.flags.urg()) << l.text();
  l.receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460});
  const auto sent = l.take_all();
  ASSERT_FALSE(sent.empty()) << l.text();
  EXPECT_EQ(sent.back().payload_size, 10u);
  EXPECT_EQ(mark(l, sent.back()), 11u) << l.text();
}

// As `send` does: what cannot be queued is not urgent.
LADDER_TEST(UrgentSent, FailsAsSendDoes) {
  Ladder l(variant);
  l.opened_passively().app_shuts_down(Shutdown::kSend).whatever();
  const std::byte octet{};
  const Bytes bytes{&octet, 1};
  const auto closing = l.stack().send_urgent(l.connection(), std::span{&bytes, 1}, l.now());
  ASSERT_FALSE(closing);
  EXPECT_EQ(closing.error(), Error::kClosing);
  const auto nobody = l.stack().send_urgent(stack::Handle{}, std::span{&bytes, 1}, l.now());
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error(), Error::kInvalidHandle);
  l.sends_nothing();
}

// Two stacks and a wire that loses, doubles and reorders: the mark lies where it was set, once everything has
// arrived, and the reader who follows it stops exactly there.
// RFC 9293: MUST-30, MUST-33.
TEST(UrgentBetweenStacks, EndsWhereItWasMeantTo) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const wire::Family family = seed % 2 == 0 ? wire::Family::kIpv4 : wire::Family::kIpv6;
    const Faults faults{.loss = 150'000, .duplicate = 100'000, .reorder = 200'000};
    Network net({.seed = seed, .faults = {faults, faults}});
    const wire::Endpoint server{net.address(Network::kB, family), 80};
    stack::Stack& a = net.host(Network::kA);
    stack::Stack& b = net.host(Network::kB);
    a.settings().tcp_wmem = 1 << 20;
    const stack::Handle listener = *b.listen(server, {}, net.now());
    const stack::Handle sender = *a.connect(server, {}, net.now());
    stack::Handle reader;
    ASSERT_TRUE(net.run_until(
        [&] {
          const auto accepted = b.accept(listener, net.now());
          if (accepted) reader = *accepted;
          return accepted.has_value();
        },
        60_s))
        << "seed " << seed;

    const std::uint32_t mark = 1 + net.entropy().below(200'000), behind = net.entropy().below(5000);
    const std::vector<std::byte> data(mark + behind);
    const Bytes urgent = Bytes{data}.first(mark), rest = Bytes{data}.subspan(mark);
    ASSERT_EQ(a.send_urgent(sender, std::span{&urgent, 1}, net.now()), mark);
    if (behind > 0) {
      ASSERT_EQ(a.send(sender, std::span{&rest, 1}, net.now()), behind);
    }
    bool told = false;
    std::uint32_t read = 0;
    while (read < mark) {
      ASSERT_TRUE(net.run_until([&] { return b.readable(reader).value_or(0) > 0; }, 600_s))
          << "seed " << seed;
      while (const auto event = b.poll_event())
        told = told || (event->handle == reader && (event->what & stack::kUrgent) != 0);
      ASSERT_TRUE(told) << "seed " << seed;
      const std::uint32_t left = b.status(reader)->urgent;
      ASSERT_GT(left, 0u) << "seed " << seed;
      ASSERT_LE(left, mark - read) << "seed " << seed;
      std::vector<std::byte> buffer(std::min<std::uint32_t>(left, 3000));
      const MutableBytes into = buffer;
      const auto n = b.receive(reader, std::span{&into, 1}, net.now());
      ASSERT_TRUE(n) << "seed " << seed;
      read += static_cast<std::uint32_t>(*n);
    }
    EXPECT_EQ(read, mark) << "seed " << seed;
    EXPECT_EQ(b.status(reader)->urgent, 0u) << "seed " << seed;
    a.abort(sender, net.now());
    b.abort(reader, net.now());
    b.close(listener, net.now());
    (void)net.run_until_idle();
  }
}

}  // namespace
}  // namespace synfin::protocol_test
