// SPDX-License-Identifier: Apache-2.0
//
// A link that cuts and sums: what the stack leaves to it, and that it comes to the same as what the stack
// does itself.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/stack/stack.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::protocol_test {
namespace {

std::vector<std::byte> octets_of(const wire::Frame& frame) {
  std::vector<std::byte> octets(frame.size());
  frame.copy_out(0, octets);
  return octets;
}

// What a device makes of a frame.
std::vector<std::vector<std::byte>> as_cut_by_the_link(const wire::Frame& frame) {
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
  std::vector<std::vector<std::byte>> cut;
  const std::size_t piece =
      frame.segment_size != 0 ? frame.segment_size : std::max<std::size_t>(packet->payload_size, 1);
  std::size_t at = 0;
  do {
    const std::size_t n = std::min(piece, packet->payload_size - at);
    const bool last = at + n == packet->payload_size;
    wire::BlockPool pool;
    {
      wire::Frame one;
      std::vector<std::byte> text(n);
      frame.copy_out(packet->payload_offset + at, text);
      if (n > 0) one.add(pool.copy(text));
      wire::TcpHeader header = packet->tcp;
      header.seq += static_cast<std::uint32_t>(at);
      if (!last)
        header.flags = wire::Flags{
            static_cast<std::uint8_t>(header.flags.bits() & ~(wire::Flags::kPsh | wire::Flags::kFin))};
      wire::emit_tcp_packet(packet->ip, header, one, wire::FillChecksum::kYes);
      cut.push_back(octets_of(one));
    }
    at += n;
  } while (at < packet->payload_size);
  return cut;
}

struct Transfer {
  std::vector<std::vector<std::byte>> packets;  // the client's, as they would be on the wire
  std::vector<std::byte> read;
  std::size_t frames = 0, super_segments = 0;
  std::uint64_t segments_out = 0, segments_in = 0;
};

// A client writes pieces, and closes; the server reads.
class OverALink {
 public:
  OverALink(wire::Family family, bool offload, std::uint32_t mtu)
      : family_(family),
        offload_(offload),
        client_(config(1, mtu), pool_, a_),
        server_(config(2, mtu), pool_, b_) {}

  Transfer run(const std::vector<std::size_t>& pieces) {
    tcp::Options options;
    options.receive_buffer = options.send_buffer = 1 << 20;
    options.congestion = tcp::CongestionControl::kNone;
    const wire::Endpoint to{address(2), 80};
    const auto listener = server_.listen(to, {.connection = options}, now_);
    const auto client = client_.connect(to, {.connection = options}, now_);
    settle({});
    const auto server = server_.accept(*listener, now_);
    std::size_t written = 0;
    for (const std::size_t size : pieces) {
      std::vector<std::byte> piece(size);
      for (std::byte& b : piece) b = static_cast<std::byte>(written++ * 131 >> 3);
      const Bytes out{piece};
      EXPECT_EQ(client_.send(*client, std::span{&out, 1}, now_), size);
      settle(*server);
    }
    EXPECT_TRUE(client_.shutdown(*client, stack::Shutdown::kSend, now_));
    settle(*server);
    transfer_.segments_out = client_.counters()[trace::Counter::kOutSegs];
    transfer_.segments_in = server_.counters()[trace::Counter::kInSegs];
    EXPECT_EQ(transfer_.read.size(), written);
    return std::move(transfer_);
  }

 private:
  wire::IpAddress address(int host) const {
    return *wire::IpAddress::parse((family_ == wire::Family::kIpv4 ? "10.77.0." : "fd77::") +
                                   std::to_string(host));
  }
  stack::Config config(int host, std::uint32_t mtu) const {
    stack::Config c;
    c.addresses = {{address(host), static_cast<std::uint8_t>(family_ == wire::Family::kIpv4 ? 24 : 64)}};
    c.mtu = mtu;
    c.offload = offload_;
    return c;
  }

  void settle(stack::Handle server) {
    while (carry(client_, server_) + carry(server_, client_) > 0) {
      std::vector<std::byte> buffer(1 << 20);
      const MutableBytes into{buffer};
      const auto n = server_.receive(server, std::span{&into, 1}, now_);
      if (n)
        transfer_.read.insert(transfer_.read.end(), buffer.begin(),
                              buffer.begin() + static_cast<std::ptrdiff_t>(*n));
    }
  }

  std::size_t carry(stack::Stack& from, stack::Stack& to) {
    std::array<wire::Frame, 64> frames;
    const std::size_t n = from.transmit(frames, now_);
    for (wire::Frame& frame : std::span{frames}.first(n)) {
      EXPECT_EQ(frame.needs_checksum, offload_);
      EXPECT_LE(frame.size(), 65'535u);
      if (offload_) {
        expect_pseudo_sum(frame);
        frame.checksum_verified = true;
      }
      if (&from != &client_) continue;
      ++transfer_.frames;
      if (frame.segment_size != 0) ++transfer_.super_segments;
      for (auto& packet : as_cut_by_the_link(frame)) transfer_.packets.push_back(std::move(packet));
    }
    to.receive(std::span{frames}.first(n), now_);
    return n;
  }

  // Linux's CHECKSUM_PARTIAL: of the whole frame, not complemented.
  void expect_pseudo_sum(const wire::Frame& frame) const {
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    ASSERT_TRUE(ip);
    wire::ChecksumAccumulator sum;
    sum.add_pseudo_header(ip->header.source, ip->header.destination, wire::protocol::kTcp,
                          static_cast<std::uint32_t>(ip->payload_size));
    EXPECT_EQ(load_be16(frame.header.data() + ip->header_size + 16), sum.folded());
  }

  wire::Family family_;
  bool offload_;
  const Instant now_ = Instant::from_ns(1'000'000'000);  // it stands still, as timestamps would tell
  wire::BlockPool pool_;
  SeededEntropy a_{1}, b_{2};
  stack::Stack client_, server_;
  Transfer transfer_;
};

class Offload : public ::testing::TestWithParam<wire::Family> {};
INSTANTIATE_TEST_SUITE_P(Families, Offload, ::testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "v4" : "v6"; });

TEST_P(Offload, TheLinkCutsWhatTheStackWouldHaveCut) {
  const std::vector<std::size_t> pieces{100, 65'536, 3'000, 200'000, 1, 1448, 50'000};
  for (const std::uint32_t mtu : {1500u, 9000u, 1280u}) {
    SCOPED_TRACE(mtu);
    const Transfer whole = OverALink{GetParam(), true, mtu}.run(pieces);
    const Transfer cut = OverALink{GetParam(), false, mtu}.run(pieces);
    EXPECT_GE(whole.super_segments, 5u);
    EXPECT_LT(whole.frames, whole.packets.size());
    EXPECT_EQ(cut.super_segments, 0u);
    EXPECT_EQ(cut.frames, cut.packets.size());
    EXPECT_TRUE(whole.read == cut.read);
    EXPECT_EQ(whole.segments_out, whole.packets.size());
    EXPECT_EQ(whole.segments_out, whole.segments_in) << "each counts as the segments that it stands for";
    ASSERT_EQ(whole.packets.size(), cut.packets.size());
    for (std::size_t i = 0; i < cut.packets.size(); ++i) ASSERT_TRUE(whole.packets[i] == cut.packets[i]) << i;
  }
}

}  // namespace
}  // namespace synfin::protocol_test
