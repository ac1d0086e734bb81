// SPDX-License-Identifier: Apache-2.0
//
// RFC 5482.
#include "synfin/tcp/user_timeout.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace literals;

// §3: 15 bits of seconds, or of minutes.
TEST(UserTimeoutOption, IsWrittenInSecondsAndFromThereOnInMinutes) {
  EXPECT_EQ(encode_user_timeout(300_s), 300);
  EXPECT_EQ(encode_user_timeout(1500_ms), 2) << "rounded up: the peer must not give up earlier";
  EXPECT_EQ(encode_user_timeout(32767_s), 0x7fff);
  EXPECT_EQ(encode_user_timeout(32768_s), 0x8000 | 547);
  EXPECT_EQ(encode_user_timeout(Duration::seconds(10'000'000)), 0xffff);
}

// "a value of zero … MUST NOT be sent"; what comes with zero is ignored.
TEST(UserTimeoutOption, IsNeverZero) {
  EXPECT_EQ(encode_user_timeout(1_ms), 1);
  EXPECT_EQ(decode_user_timeout(0), Duration::zero());
  EXPECT_EQ(decode_user_timeout(0x8000), Duration::zero());
}

TEST(UserTimeoutOption, IsReadAsItWasWritten) {
  for (const std::int64_t s : {1, 100, 32767, 60 * 547, 60 * 32767})
    EXPECT_EQ(decode_user_timeout(encode_user_timeout(Duration::seconds(s))), Duration::seconds(s)) << s;
}

// §3.1: min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))
TEST(UserTimeoutOption, TheLongerOfBothCountsWithinLimits) {
  EXPECT_EQ(agreed_user_timeout(200_s, 300_s), 300_s);
  EXPECT_EQ(agreed_user_timeout(300_s, 200_s), 300_s);
  EXPECT_EQ(agreed_user_timeout(1_s, 2_s), 100_s) << "a peer cannot make us impatient";
  EXPECT_EQ(agreed_user_timeout(200_s, 1'000'000_s), 3600_s) << "nor bind us for weeks";
}

}  // namespace
}  // namespace synfin::tcp
