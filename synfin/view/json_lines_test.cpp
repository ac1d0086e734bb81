// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/json_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "synfin/trace/flood.h"
#include "synfin/view/view_test_support.h"

namespace synfin::view {
namespace {

using namespace literals;
using namespace test;
using Json = nlohmann::ordered_json;

// A JsonLines that writes to memory.
class Written {
 public:
  Written() : file_(open_memstream(&data_, &size_)), lines_(file_) {}
  ~Written() {
    std::fclose(file_);
    std::free(data_);
  }
  JsonLines& sink() { return lines_; }
  std::string text() {
    EXPECT_FALSE(lines_.finish());
    return {data_, size_};
  }
  std::vector<Json> lines() {
    std::vector<Json> all;
    std::istringstream in(text());
    for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line));
    return all;
  }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
  JsonLines lines_;
};

TEST(JsonLines, OneObjectALineWithStableNames) {
  using enum State;
  Written out;
  Storyteller t(out.sink());
  t.options = syn_options(1000, 0);
  t.state(kListen, kSynReceived, Reason::kSynAccepted);
  t.received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  t.at(24_us).sent(F::kSyn | F::kAck, {.ack = 1}, kSynReceived, Reason::kSynAckSent);
  t.retransmission = true;
  t.at(2_s).sent(F::kPsh | F::kAck, {1, 1, 10}, kEstablished, Reason::kRetransmitTimeout);
  t.state(kFinWait2, kTimeWait, Reason::kTimeWaitEntered, t.now + 60_s);
  t.call(Reason::kCloseCalled, kTimeWait);
  t.timer(Reason::kDelayedAck, kTimeWait);
  t.packet(EventKind::kPacketReceived, Reason::kIpBadChecksum, 40);
  EXPECT_EQ(
      out.text(),
      R"json({"time":0.0,"event":"state","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"LISTEN","to":"SYN-RECEIVED","reason":"syn_accepted","section":"RFC 9293 §3.10.7.2"}
{"time":0.0,"event":"segment_received","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"LISTEN","to":"SYN-RECEIVED","reason":"syn_accepted","section":"RFC 9293 §3.10.7.2","flags":"SYN","seq":0,"seq_raw":4294967040,"len":0,"window":64256,"options":{"mss":1460,"wscale":7,"sack_ok":true,"ts":[1000,0]}}
{"time":2.4e-05,"event":"segment_sent","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"SYN-RECEIVED","to":"SYN-RECEIVED","reason":"syn_ack_sent","section":"RFC 9293 §3.10.7.2","flags":"SYN,ACK","seq":0,"ack":1,"seq_raw":4294967280,"ack_raw":4294967041,"len":0,"window":64256,"options":{}}
{"time":2.0,"event":"segment_sent","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"ESTABLISHED","to":"ESTABLISHED","reason":"retransmit_timeout","section":"RFC 6298 §5","flags":"PSH,ACK","seq":1,"ack":1,"seq_raw":4294967281,"ack_raw":4294967041,"len":10,"window":64256,"options":{},"retransmission":true}
{"time":2.0,"event":"state","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"FIN-WAIT-2","to":"TIME-WAIT","reason":"time_wait_entered","cause":"end_of_stream","section":"RFC 9293 §3.6.1","remaining":60.0}
{"time":2.0,"event":"call","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"TIME-WAIT","to":"TIME-WAIT","reason":"close_called","section":"RFC 9293 §3.10.4"}
{"time":2.0,"event":"timer","connection":1,"local":"10.77.0.2:80","remote":"10.77.0.1:43210","from":"TIME-WAIT","to":"TIME-WAIT","reason":"delayed_ack","section":"RFC 9293 §3.8.6.3"}
{"time":2.0,"event":"packet_received","reason":"ip_bad_checksum","section":"RFC 1122 §3.2.1.2","len":40}
)json");
}

TEST(JsonLines, SackBlocksAreRelativeAcrossTheWrap) {
  Written out;
  Storyteller t(out.sink());
  t.sent(F::kSyn | F::kAck, {.ack = 1}, State::kSynReceived, Reason::kSynAckSent);
  t.options.present = wire::TcpOptions::kSack;
  t.options.sack_count = 2;
  t.options.sack[0] = {wire::SeqNum{t.local_isn + 10}, wire::SeqNum{t.local_isn + 20}};
  t.options.sack[1] = {wire::SeqNum{t.local_isn + 30}, wire::SeqNum{t.local_isn + 40}};
  t.received(F::kAck, {1, 1, 0}, State::kEstablished, State::kEstablished, Reason::kDuplicateAck);
  EXPECT_EQ(out.lines().back()["options"]["sack"], Json::parse("[[10,20],[30,40]]"));
}

TEST(JsonLines, ANewConnectionOnTheSamePortsHasItsOwnNumbers) {
  using enum State;
  Written out;
  Storyteller t(out.sink());
  t.state(kListen, kSynReceived, Reason::kSynAccepted);
  t.received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  t.state(kSynReceived, kClosed, Reason::kHalfOpenReset);
  t.received(F::kRst, {.seq = 1}, kSynReceived, kClosed, Reason::kHalfOpenReset);
  EXPECT_EQ(out.lines().back()["connection"], 1) << "the reset belongs to the connection that it ended";
  t.remote_isn += 5000;
  t.state(kListen, kSynReceived, Reason::kSynAccepted);
  t.received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  EXPECT_EQ(out.lines().back()["seq"], 0);
  EXPECT_EQ(out.lines().back()["connection"], 2);
}

TEST(JsonLines, AFloodHasAllItsFigures) {
  Written out;
  trace::FloodReport flood;
  flood.listener = {wire::IpAddress::v4(10, 77, 0, 2), 80};
  flood.verdict = Reason::kFloodFewSources;
  flood.begins = true;
  flood.window = Duration::microseconds(4'750'000);
  flood.lasted = Duration::milliseconds(20);
  flood.syn_rate = 48'210.444;
  flood.baseline_rate = 12.06;
  flood.threshold_rate = 200;
  flood.peak_rate = 50'000;
  flood.completion_ratio = 0.003149;
  flood.syns = 100'001;
  flood.repeated_syns = 2;
  flood.completed = 315;
  flood.overflows = 4;
  flood.half_open = 5;
  flood.half_open_limit = 6;
  flood.accept_queue = 7;
  flood.accept_queue_limit = 8;
  flood.distinct_sources = 203.4;
  flood.distinct_networks = 2.001;
  flood.top[0] = {*wire::Prefix::parse("198.51.100.0/24"), 0.97049};
  flood.top[1] = {*wire::Prefix::parse("2001:db8:7::/48"), 0.02};
  flood.top_count = 2;
  trace::Event e;
  e.kind = EventKind::kFlood;
  e.reason = flood.verdict;
  e.tuple.local = flood.listener;
  e.flood = &flood;
  out.sink().on_event(e);
  EXPECT_EQ(
      out.text(),
      R"json({"time":0.0,"event":"flood","local":"10.77.0.2:80","reason":"flood_few_sources","section":"RFC 4987 §2","begins":true,"window":4.75,"lasted":0.02,"syn_rate":48210.4,"baseline_rate":12.1,"threshold_rate":200.0,"peak_rate":50000.0,"completion_ratio":0.0031,"syns":100001,"repeated_syns":2,"completed":315,"overflows":4,"half_open":5,"half_open_limit":6,"accept_queue":7,"accept_queue_limit":8,"distinct_sources":203,"distinct_networks":2,"top_networks":[{"prefix":"198.51.100.0/24","share":0.97},{"prefix":"2001:db8:7::/48","share":0.02}]}
)json");
}

TEST(JsonLines, AFullDiskIsReported) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "there is no /dev/full";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> full(std::fopen("/dev/full", "w"), std::fclose);
  ASSERT_TRUE(full);
  JsonLines lines(full.get(), FlushLines::kEach);
  Storyteller t(lines);
  t.call(Reason::kCloseCalled, State::kEstablished);
  EXPECT_EQ(lines.last_error(), std::errc::no_space_on_device);
  EXPECT_EQ(lines.finish(), std::errc::no_space_on_device);
}

}  // namespace
}  // namespace synfin::view
