// SPDX-License-Identifier: Apache-2.0
//
// MSG_OOB, SO_OOBINLINE, SIOCATMARK and POLLPRI, as old programs know them (RFC 6093 §3, tcp(7)).
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "synfin/socket/bsd_test_kit.h"

namespace synfin::tcp {
namespace {

class BsdUrgentTest : public BsdFixture {
 protected:
  void say(const std::string& text, int flags = 0) {
    EXPECT_EQ(a.send(client, text.data(), text.size(), flags), static_cast<ssize_t>(text.size()));
    settle();
  }
  std::string hear(int flags = 0, std::size_t most = 100) {
    std::string text(most, '\0');
    const ssize_t n = b.recv(server, text.data(), text.size(), flags);
    if (n < 0) return errno == EAGAIN ? "EAGAIN" : errno == EINVAL ? "EINVAL" : "another error";
    text.resize(static_cast<std::size_t>(n));
    return text;
  }
  bool at_mark() {
    int value = -1;
    EXPECT_EQ(b.ioctl(server, SIOCATMARK, &value), 0);
    return value == 1;
  }
  int readable() {
    int value = -1;
    EXPECT_EQ(b.ioctl(server, FIONREAD, &value), 0);
    return value;
  }
  short events() {
    pollfd p{server, POLLIN | POLLPRI, 0};
    (void)b.poll({&p, 1});
    return p.revents;
  }
  void set_inline() {
    const int on = 1;
    EXPECT_EQ(b.setsockopt(server, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), 0);
  }
};
INSTANTIATE_TEST_SUITE_P(Families, BsdUrgentTest, testing::Values(AF_INET, AF_INET6),
                         [](auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

TEST_P(BsdUrgentTest, IsReadApartAndMissingFromTheStream) {
  open();
  EXPECT_EQ(hear(MSG_OOB), "EINVAL") << "there is none";
  say("abc");
  say("de!", MSG_OOB);
  say("fgh");
  EXPECT_EQ(events(), POLLIN | POLLPRI);
  EXPECT_EQ(readable(), 5);
  EXPECT_EQ(hear(MSG_OOB | MSG_PEEK), "!");
  EXPECT_EQ(hear(MSG_OOB), "!");
  EXPECT_EQ(hear(MSG_OOB), "EINVAL") << "once";
  EXPECT_EQ(events(), POLLIN);
  EXPECT_FALSE(at_mark());
  EXPECT_EQ(hear(MSG_PEEK), "abcde");
  EXPECT_EQ(hear(), "abcde") << "up to the mark";
  EXPECT_TRUE(at_mark());
  EXPECT_EQ(hear(MSG_PEEK), "fgh");
  EXPECT_EQ(hear(0, 1), "f");
  EXPECT_FALSE(at_mark());
  EXPECT_EQ(hear(), "gh");
  EXPECT_EQ(hear(), "EAGAIN");
}

TEST_P(BsdUrgentTest, WaitsForWhomItComesLast) {
  open();
  say("abc!", MSG_OOB);
  EXPECT_EQ(hear(), "abc");
  EXPECT_TRUE(at_mark());
  EXPECT_EQ(hear(), "EAGAIN");
  EXPECT_EQ(hear(MSG_PEEK), "EAGAIN");
  EXPECT_EQ(events(), POLLPRI);
  EXPECT_EQ(readable(), 0);
  EXPECT_EQ(hear(MSG_OOB), "!");
  EXPECT_EQ(events(), 0);
  EXPECT_EQ(hear(), "EAGAIN");
  say("more");
  EXPECT_EQ(hear(), "more");
  EXPECT_EQ(hear(), "EAGAIN");
}

// As on Linux: who reads on past it has missed it.
TEST_P(BsdUrgentTest, IsLostToWhomReadsPastIt) {
  open();
  say("abc!", MSG_OOB);
  say("def");
  EXPECT_EQ(hear(), "abc");
  EXPECT_EQ(hear(), "def");
  EXPECT_EQ(hear(MSG_OOB), "EINVAL");
  EXPECT_EQ(hear(), "EAGAIN");
}

TEST_P(BsdUrgentTest, HasItsPlaceInTheStreamWhereTheProgramWantsThat) {
  open();
  set_inline();
  say("abc!", MSG_OOB);
  say("def");
  EXPECT_EQ(hear(MSG_OOB), "EINVAL");
  EXPECT_EQ(events(), POLLIN | POLLPRI);
  EXPECT_EQ(readable(), 8 - 1);
  EXPECT_EQ(hear(), "abc") << "up to the mark";
  EXPECT_TRUE(at_mark());
  EXPECT_EQ(hear(), "!def");
  EXPECT_FALSE(at_mark());
  EXPECT_EQ(events(), 0);
}

// Only the last is urgent: an earlier one is ordinary by then.
TEST_P(BsdUrgentTest, IsTheLastOneThatWasSent) {
  open();
  say("ab1", MSG_OOB);
  say("cd2", MSG_OOB);
  EXPECT_EQ(hear(MSG_OOB), "2");
  EXPECT_EQ(hear(), "ab1cd");
  EXPECT_TRUE(at_mark());
  EXPECT_EQ(hear(), "EAGAIN");
}

// The pointer is ahead of the octet: the peer's window keeps it away.
TEST_P(BsdUrgentTest, IsAnnouncedBeforeItArrives) {
  open();
  const std::string much(1 << 21, 'x');
  const ssize_t taken = a.send(client, much.data(), much.size(), 0);
  ASSERT_GT(taken, 1 << 15);
  pass(2_s);
  while (a.send(client, much.data(), much.size(), 0) > 0) pass(1_s);
  say("", 0);
  ASSERT_LT(readable(), static_cast<int>(much.size()) * 2);
  std::string some(1 << 16, '\0');
  ASSERT_GT(b.recv(server, some.data(), some.size(), 0), 0);
  pass(1_s);
  EXPECT_EQ(a.send(client, "!", 1, MSG_OOB), 1);
  settle();
  EXPECT_EQ(hear(MSG_OOB), "EAGAIN");
  EXPECT_EQ(events() & POLLPRI, 0);
  for (int i = 0; i < 10'000 && !at_mark(); ++i) {
    (void)b.recv(server, some.data(), some.size(), 0);
    pass(10_ms);
  }
  EXPECT_TRUE(at_mark());
  EXPECT_EQ(hear(MSG_OOB), "!");
}

TEST_P(BsdUrgentTest, EndOfTheStreamFollowsIt) {
  open();
  say("abc!", MSG_OOB);
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  settle();
  EXPECT_EQ(hear(), "abc");
  EXPECT_EQ(hear(MSG_OOB), "!");
  EXPECT_EQ(hear(), "");
}

}  // namespace
}  // namespace synfin::tcp
