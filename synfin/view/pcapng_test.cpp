// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/pcapng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "synfin/view/view_test_support.h"

namespace synfin::view {
namespace {

using namespace literals;
using namespace test;
using testing::HasSubstr;
using testing::Not;

// A file that goes when the test ends.
class TemporaryFile {
 public:
  TemporaryFile() {
    path_ = testing::TempDir() + "synfin-capture-XXXXXX";
    const int fd = mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct ReadPacket {
  std::int64_t unix_ns;
  std::vector<std::byte> bytes;
};

std::vector<ReadPacket> read_back(const std::string& path) {
  char error[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, void (*)(pcap_t*)> pcap(
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error), pcap_close);
  if (!pcap) {
    ADD_FAILURE() << error;
    return {};
  }
  EXPECT_EQ(pcap_datalink(pcap.get()), DLT_RAW);
  std::vector<ReadPacket> packets;
  pcap_pkthdr* header = nullptr;
  const unsigned char* data = nullptr;
  int got = 0;
  while ((got = pcap_next_ex(pcap.get(), &header, &data)) == 1) {
    EXPECT_EQ(header->caplen, header->len);
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    packets.push_back(
        {header->ts.tv_sec * 1'000'000'000 + header->ts.tv_usec, {bytes, bytes + header->caplen}});
  }
  EXPECT_EQ(got, PCAP_ERROR_BREAK) << pcap_geterr(pcap.get());
  return packets;
}

// Keeps the bytes of every frame that goes by.
class Collector final : public trace::Sink {
 public:
  void on_event(const Event& e) override {
    if (e.frame == nullptr) return;
    std::vector<std::byte> bytes(e.frame->size());
    e.frame->copy_out(0, bytes);
    frames.push_back(std::move(bytes));
    times.push_back(e.at.ns());
  }
  std::vector<std::vector<std::byte>> frames;
  std::vector<std::int64_t> times;
};

// What `command` prints, standard error included.
std::string output_of(const std::string& command) {
  std::string out;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen((command + " 2>&1").c_str(), "r"), pclose);
  if (!pipe) return out;
  char chunk[4096];
  for (std::size_t n = 0; (n = std::fread(chunk, 1, sizeof chunk, pipe.get())) != 0;) out.append(chunk, n);
  return out;
}

constexpr Duration kOffset = Duration::seconds(1'700'000'000);

void tell(Storyteller& t) {
  using enum State;
  t.options = syn_options(1000, 0);
  t.received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  t.options = syn_options(7, 1000);
  t.at(24_us).sent(F::kSyn | F::kAck, {.ack = 1}, kSynReceived, Reason::kSynAckSent);
  t.at(61_us).received(F::kAck, {.seq = 1, .ack = 1}, kSynReceived, kEstablished, Reason::kHandshakeComplete);
  t.at(123'457_ns).received(F::kPsh | F::kAck, {1, 1, 77}, kEstablished, kEstablished, Reason::kDataAccepted);
  t.segment_size = 1448;
  t.at(200_us).sent(F::kPsh | F::kAck, {1, 78, 14'480}, kEstablished, Reason::kDataSent);
  t.state(kEstablished, kCloseWait, Reason::kFinReceived);
  t.at(900_us).received(F::kFin | F::kAck, {78, 14'481, 0}, kEstablished, kCloseWait, Reason::kFinReceived);
}

TEST(Pcapng, LibpcapReadsBackWhatWasWritten) {
  const TemporaryFile file;
  auto writer = PcapngWriter::create(file.path());
  ASSERT_TRUE(writer) << writer.error().message();
  Capture capture(std::move(*writer), kOffset);
  Collector collector;
  trace::Fork both(&capture, &collector);
  Storyteller t(both), t6(both, 43211, true);
  tell(t);
  tell(t6);
  ASSERT_TRUE(capture.writer().close());
  const std::vector<ReadPacket> packets = read_back(file.path());
  ASSERT_EQ(packets.size(), collector.frames.size());
  ASSERT_EQ(packets.size(), 12U);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(packets[i].unix_ns, collector.times[i] + kOffset.ns()) << i;
    if (packets[i].bytes.size() > 10'000) continue;  // its checksum is filled in: see below
    EXPECT_EQ(packets[i].bytes, collector.frames[i]) << i;
  }
}

TEST(Pcapng, SuperSegmentsAreWholeAndHaveTheirChecksum) {
  const TemporaryFile file;
  auto writer = PcapngWriter::create(file.path());
  ASSERT_TRUE(writer);
  Capture capture(std::move(*writer), kOffset);
  Storyteller t(capture);
  t.segment_size = 1448;
  t.sent(F::kPsh | F::kAck, {1, 78, 14'480}, State::kEstablished, Reason::kDataSent);
  ASSERT_TRUE(capture.writer().close());
  const std::vector<ReadPacket> packets = read_back(file.path());
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].bytes.size(), 20U + 20U + 14'480U);
  wire::BlockPool pool;
  wire::Frame frame;
  frame.add(pool.copy(packets[0].bytes));
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  ASSERT_TRUE(ip);
  EXPECT_TRUE(wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes));
}

TEST(Pcapng, CommentsSayStatesReasonAndSection) {
  class Comments final : public trace::Sink {
   public:
    void on_event(const Event& e) override { all.push_back(capture_comment(e)); }
    std::vector<std::string> all;
  } comments;
  Storyteller t(comments);
  t.received(F::kFin | F::kAck, {78, 1, 0}, State::kEstablished, State::kCloseWait, Reason::kFinReceived);
  t.retransmission = true;
  t.sent(F::kAck, {1, 78, 10}, State::kEstablished, Reason::kRetransmitTimeout);
  t.packet(EventKind::kPacketReceived, Reason::kTcpBadChecksum, 40);
  EXPECT_EQ(comments.all[0],
            "ESTABLISHED -> CLOSE-WAIT; fin_received: FIN: the peer sends nothing more. This direction is "
            "closed; the "
            "other stays open until we close it too. (RFC 9293 §3.10.7.4)");
  EXPECT_THAT(comments.all[1], testing::StartsWith("ESTABLISHED; retransmission; retransmit_timeout: "));
  EXPECT_THAT(comments.all[2], testing::StartsWith("tcp_bad_checksum: "));
}

TEST(Pcapng, TsharkShowsTheCommentsAndNoFault) {
  if (std::system("command -v tshark > /dev/null 2>&1") != 0) GTEST_SKIP() << "tshark is not installed";
  const TemporaryFile file;
  auto writer = PcapngWriter::create(file.path());
  ASSERT_TRUE(writer);
  Capture capture(std::move(*writer), kOffset);
  Storyteller t(capture), t6(capture, 43211, true);
  tell(t);
  tell(t6);
  ASSERT_TRUE(capture.writer().close());
  const std::string checks =
      "tshark -n -r '" + file.path() + "' -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -T fields ";
  const std::string fields =
      output_of(checks + "-e frame.time_epoch -e frame.packet_flags_direction -e frame.comment");
  EXPECT_THAT(fields,
              HasSubstr("ESTABLISHED -> CLOSE-WAIT; fin_received: FIN: the peer sends nothing more."));
  EXPECT_THAT(fields, HasSubstr("(RFC 9293 §3.10.7.4)"));
  EXPECT_THAT(fields, HasSubstr("1700001000.000123457"));
  std::size_t packets = 0;
  for (std::size_t at = fields.find("1700001000."); at != std::string::npos;
       at = fields.find("1700001000.", at + 1))
    ++packets;
  EXPECT_EQ(packets, 12U) << fields;
  EXPECT_THAT(fields, HasSubstr("syn_ack_sent"));
  const std::string bad = output_of(checks +
                                    "-e frame.number -Y '_ws.malformed || tcp.checksum.status == \"Bad\" || "
                                    "ip.checksum.status == \"Bad\"'");
  EXPECT_THAT(bad, Not(testing::ContainsRegex("^[0-9]+"))) << bad;
}

TEST(Pcapng, AMissingFolderIsAnError) {
  const auto writer = PcapngWriter::create("/nonexistent-synfin-folder/capture.pcapng");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error(), std::errc::no_such_file_or_directory);
}

TEST(Pcapng, AFullDiskIsAnError) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "there is no /dev/full";
  const auto writer = PcapngWriter::create("/dev/full");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error(), std::errc::no_space_on_device);
}

TEST(Pcapng, AnErrorSticksAndTheFileKeepsItsWholeBlocks) {
  const TemporaryFile file;
  auto writer = PcapngWriter::create(file.path());
  ASSERT_TRUE(writer);
  Capture capture(std::move(*writer), kOffset);
  Storyteller t(capture);
  tell(t);
  ASSERT_TRUE(capture.writer().flush());
  // A limit in the middle of a block; exceeding it fails with EFBIG once the signal is ignored.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct stat info {};
  ASSERT_EQ(stat(file.path().c_str(), &info), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(info.st_size) + 50;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  tell(t);
  const auto flushed = capture.writer().flush();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error(), std::errc::file_too_large);
  EXPECT_EQ(read_back(file.path()).size(), 6U);
  tell(t);
  EXPECT_EQ(capture.last_error(), std::errc::file_too_large);
  const auto closed = capture.writer().close();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error(), std::errc::file_too_large);
  EXPECT_EQ(read_back(file.path()).size(), 6U);
}

}  // namespace
}  // namespace synfin::view
