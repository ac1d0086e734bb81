// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, data: what a segment may cost its receiver. Rows D3, D7, D9,
// D10, D11 and D18 of the list of attacks, each with a bound on its cost. Rows about what a sender
// pays are in attacks_small_segments_test.cpp and attacks_sender_test.cpp; the cost in entries is in
// synfin/tcp/reassembly_test.cpp.
#include <algorithm>
#include <numeric>

#include "data_attacks.h"

namespace synfin::protocol_test {
namespace {

class ReceiverAttacks : public DataAttacks {
 protected:
  static constexpr std::uint32_t kBlock = wire::BlockPool::kSmall;

  std::uint64_t held() const { return pool_.bytes_in_use(); }
  /// The text of one segment, whole in one block with its headers, as a device gives it.
  void gives_text(const Open& c, std::int64_t off, const std::string& text) {
    gives_octets(c.from, of(c, ACK, off), {}, text);
  }
  static std::string stream(std::size_t size) {
    std::string s(size, '\0');
    for (std::size_t i = 0; i < size; ++i) s[i] = static_cast<char>('a' + i * 7 % 26);
    return s;
  }
};
RAW_HOST_SUITE(ReceiverAttacks);

// D3, CVE-2018-5390 (SegmentSmack), CVE-2018-6922. In order: a megabyte of segments of one octet each, which
// the program does not read. The blocks they came in are not kept, and each costs at most one answer.
TEST_P(ReceiverAttacks, D3_OctetsInOrderShareBlocks) {
  constexpr std::uint32_t kBuffer = 32'768;
  stack_.settings().tcp_rmem = kBuffer;
  const Open c = opens();
  const std::string all = stream(kBuffer);
  std::size_t answers = 0;
  for (std::uint32_t i = 0; i < kBuffer; ++i) {
    gives_text(c, i, all.substr(i, 1));
    answers += takes().size();
    ASSERT_LE(held(), 2 * (i + 1) + kBlock) << i;
  }
  EXPECT_LE(answers, kBuffer);
  // Beyond the window: nothing is kept.
  const std::uint64_t full = held();
  for (std::uint32_t i = 0; i < 1000; ++i) gives_text(c, kBuffer + i, "x");
  EXPECT_EQ(held(), full);
  EXPECT_EQ(reads_all(c), all);
  EXPECT_EQ(held(), 0u);
  still_works(c, kBuffer);
}

// Beyond a hole, in any order: as many pieces as the buffer pays for, one answer each, and what was kept is
// right once the hole is filled.
TEST_P(ReceiverAttacks, D3_OctetsBeyondAHoleAreBounded) {
  constexpr std::uint32_t kBuffer = 65'536;
  constexpr std::uint64_t kMost = 2 * kBuffer + 17 * kBlock;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    stack_.settings().tcp_rmem = kBuffer;
    const Open c = opens(Offered{}, static_cast<std::uint32_t>(seed));
    const std::string all = stream(kBuffer);
    std::vector<std::uint32_t> order(20'000);
    std::iota(order.begin(), order.end(), 0u);
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
    for (const std::uint32_t i : order) {
      // Seed 1: every other octet; else by chance one that joins two others.
      const std::uint32_t off = 2 + (seed == 1 ? 2 * i : i);
      gives_text(c, off, all.substr(off, 1));
      ASSERT_LE(takes().size(), 1u);
      ASSERT_LE(held(), kMost + 8 * order.size());
    }
    EXPECT_LT(count(Counter::kTCPOFOQueue), 3 * order.size()) << "some were refused";
    // An honest peer fills the hole and sends all of it again.
    for (std::uint32_t off = 0; off < 42'000; off += 1400) gives_text(c, off, all.substr(off, 1400));
    EXPECT_EQ(reads_all(c), all.substr(0, 42'000));
    EXPECT_EQ(held(), 0u);
    (void)takes();
  }
}

// Beyond a hole, full-sized segments of which one octet is new. Each held its block for that octet: 2 MiB for
// 2,400 octets.
TEST_P(ReceiverAttacks, D3_OverlapsBeyondAHoleHoldNoBlocks) {
  constexpr std::uint32_t kBuffer = 65'536;
  stack_.settings().tcp_rmem = kBuffer;
  const Open c = opens();
  const std::string all = stream(kBuffer);
  for (std::uint32_t i = 1; i <= 1000; ++i) gives_text(c, i, all.substr(i, 1400));
  EXPECT_LE(held(), 2u * 2400 + 2 * kBlock);
  // The hole's octet comes last, and what follows it is not cut to octets either.
  gives_text(c, 0, all.substr(0, 1));
  EXPECT_LE(held(), 2u * 2400 + 2 * kBlock);
  EXPECT_EQ(reads_all(c), all.substr(0, 2400));
}

// D7, CVE-2005-0356: a forged segment with a timestamp far ahead, which made every later one look old. It
// counts only with an acceptable number, an acceptable acknowledgement, and where it is next in order (RFC
// 7323 §4.3).
TEST_P(ReceiverAttacks, D7_OnlyTheNextSegmentWithAGoodAckSetsTheTimestamp) {
  Open c = opens(Offered{.timestamps = true});
  struct Forged {
    std::uint8_t flags;
    std::int64_t off, ack;
  };
  const Forged all[] = {
      {ACK, 1, 0},
      {ACK, 40'000, 0},
      {ACK, 0, 1},
      {ACK, 0, 1'000'000},
      {ACK, 0, -0x7000'0000},
      {PSH | ACK, 0, 1},
      {ACK, -1, 0},
      {ACK, -100'000, 0},
      {ACK, 0x7000'0000, 0},
      {SYN, 0, 0},
      {SYN | ACK, 0, 0},
      {RST | ACK, 1000, 0},
      {0, 0, 0},
      {FIN, 0, 0},
  };
  std::size_t answers = 0, given = 0;
  for (const std::uint32_t ahead : {1u, 100'000u, 0x7fff'ffffu}) {
    for (const Forged& f : all) {
      TcpHeader h = of(c, f.flags, f.off, f.ack);
      stamp(h, c.tsval + ahead, newest_tsval_);
      gives(c.from, h, (f.flags & PSH) != 0 ? "forged" : "");
      ++given;
      answers += takes().size();
    }
  }
  EXPECT_LE(answers, 2 * stack_.settings().tcp_challenge_ack_limit + given / 3)
      << "challenges of the one second that this takes, and what is answered as old text is";
  EXPECT_EQ(count(Counter::kPAWSEstab), 0u);
  still_works(c);
  EXPECT_EQ(count(Counter::kPAWSEstab), 0u) << "the peer's own segment looked old";
}

// D9, CVE-2020-24337: an option of length 0 or 1 kept the parser where it was. Every kind, at every place.
TEST_P(ReceiverAttacks, D9_AnOptionWithoutLengthEndsTheSegmentNotTheStack) {
  const Open c = opens();
  std::uint64_t given = 0;
  const std::uint64_t before = count(Reason::kTcpOptionLength);
  for (int kind = 2; kind < 256; ++kind) {
    for (const int length : {0, 1}) {
      for (std::size_t nops = 0; nops < 40; nops += 13) {
        Octets options(40, std::byte{1});
        options[nops] = static_cast<std::byte>(kind);
        if (nops < 39) options[nops + 1] = static_cast<std::byte>(length);
        gives_octets(c.from, of(c, PSH | ACK), options, "lost");
        gives_octets(peer(2), header(SYN, kPeerIss), options);
        given += 2;
      }
    }
  }
  EXPECT_EQ(count(Reason::kTcpOptionLength) - before, given) << "each is looked at once and dropped";
  sends_nothing();
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(held(), 0u);
  // As many unknown options as fit are passed over (MUST-6).
  Octets unknown(40, std::byte{2});
  for (std::size_t i = 0; i < 40; i += 2) unknown[i] = std::byte{253};
  gives_octets(c.from, of(c, PSH | ACK), unknown, "taken");
  EXPECT_EQ(reads(c.handle), "taken");
}

// D10, CVE-2018-16523, CVE-2018-16524, CVE-2020-13988: an MSS option that is cut short, or of any length but
// its own, opens nothing and reads nothing behind the header.
TEST_P(ReceiverAttacks, D10_AMalformedMssOpensNothing) {
  listener_ = listens({.backlog = 64});
  const auto malformed = [&] { return count(Reason::kTcpOptionLength) + count(Reason::kTcpOptionMalformed); };
  std::uint64_t given = 0;
  for (int length = 0; length < 256; ++length) {
    if (length == 4) continue;
    for (const std::size_t size : {4u, 8u, 40u}) {
      // Also as the last octets of the header.
      for (const std::size_t at : {std::size_t{0}, size - 2}) {
        Octets options(size, std::byte{1});
        options[at] = std::byte{2};
        options[at + 1] = static_cast<std::byte>(length);
        gives_octets(peer(2), header(SYN, kPeerIss), options);
        ++given;
      }
    }
  }
  EXPECT_EQ(malformed(), given);
  sends_nothing();
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(stack_.population().armed_timers, 0u);
  EXPECT_EQ(held(), 0u);
}

// D11, CVE-2019-12258: malformed options in a spoofed segment reset the connection whose ports it had. They
// change nothing, whatever the flags and numbers, not even those of an exact reset; and draw no answer.
TEST_P(ReceiverAttacks, D11_MalformedOptionsEndNoConnection) {
  const Open c = opens();
  const Octets all[] = {octets({2, 3, 0, 0}),  octets({2, 0, 0, 0}),     octets({3, 2, 0, 0}),
                        octets({8, 9, 0, 0}),  octets({8, 10, 0, 0}),    octets({5, 9, 0, 0}),
                        octets({4, 3, 0, 0}),  octets({253, 200, 0, 0}), octets({1, 1, 1, 253}),
                        octets({29, 3, 0, 0}), octets({34, 5, 0, 0}),    octets({19, 17, 0, 0}),
                        octets({28, 3, 0, 0})};
  const auto malformed = [&] { return count(Reason::kTcpOptionLength) + count(Reason::kTcpOptionMalformed); };
  const std::uint64_t before = malformed();
  std::uint64_t given = 0;
  for (const Octets& options : all) {
    for (const int flags : {int{ACK}, int{RST}, RST | ACK, int{SYN}, SYN | ACK, FIN | ACK, PSH | ACK, 0}) {
      for (const std::int64_t off : {0, 1, 1000, -1, 100'000, 0x7000'0000}) {
        gives_octets(c.from, of(c, static_cast<std::uint8_t>(flags), off), options,
                     (flags & PSH) != 0 ? "forged" : "");
        ++given;
      }
    }
  }
  EXPECT_EQ(malformed() - before, given);
  sends_nothing();
  EXPECT_EQ(events(c.handle) & (kFailed | kPeerClosed | kReadable), 0);
  EXPECT_EQ(held(), 0u);
  still_works(c);
}

// D18, CVE-2018-5391 (FragmentSmack): fragments at random places. None is kept, waited for or answered.
TEST_P(ReceiverAttacks, D18_FragmentsAreNeitherKeptNorAnswered) {
  constexpr std::uint32_t kFragments = 5000;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    const Open c = opens(Offered{}, static_cast<std::uint32_t>(seed));
    const std::uint64_t before = count(Reason::kIpFragment);
    const std::size_t timers = stack_.population().armed_timers;
    for (std::uint32_t i = 0; i < kFragments; ++i) {
      TcpHeader h = of(c, random.below(2) == 0 ? PSH | ACK : SYN);
      h.source_port = c.from.port;
      h.destination_port = own().port;
      wire::IpHeader ip{.source = c.from.address, .destination = own().address};
      ip.protocol = wire::protocol::kTcp;
      wire::Frame frame;
      frame.add(pool_.copy(Octets(8 + 8 * random.below(100), std::byte{'x'})));
      wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
      Octets packet(frame.size());
      frame.copy_out(0, packet);
      // Not both 0: that is a whole packet.
      const auto offset = static_cast<std::uint16_t>(random.below(i % 3 == 0 ? 8191 : 20));
      const bool more = offset == 0 || random.below(2) == 0;
      const auto number = static_cast<std::uint16_t>(random.below(4));
      if (v4()) {
        store_be16(packet.data() + 4, number);
        store_be16(packet.data() + 6, static_cast<std::uint16_t>((more ? 0x2000 : 0) | offset));
        store_be16(packet.data() + 10, 0);
        store_be16(packet.data() + 10, static_cast<std::uint16_t>(~wire::ones_sum(Bytes{packet.data(), 20})));
      } else {
        Octets extension(8);
        extension[0] = std::byte{wire::protocol::kTcp};
        store_be16(extension.data() + 2, static_cast<std::uint16_t>(offset << 3 | (more ? 1 : 0)));
        store_be32(extension.data() + 4, number);
        packet[6] = std::byte{44};
        store_be16(packet.data() + 4, static_cast<std::uint16_t>(packet.size() - 40 + 8));
        packet.insert(packet.begin() + 40, extension.begin(), extension.end());
      }
      frame.clear();
      frame.add(pool_.copy(packet));
      stack_.receive(std::span{&frame, 1}, now_);
      frame.clear();
      ASSERT_EQ(held(), 0u) << i;
    }
    EXPECT_EQ(count(Reason::kIpFragment) - before, kFragments);
    EXPECT_EQ(stack_.population().armed_timers, timers);
    runs_for(120_s);
    sends_nothing();
    still_works(c);
  }
}

}  // namespace
}  // namespace synfin::protocol_test
