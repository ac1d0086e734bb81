// SPDX-License-Identifier: Apache-2.0
//
// Options::may_fragment: the DF bit, and the identification that takes its place (RFC 6864).
#include <set>

#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

class Fragments : public RawHost {};
RAW_HOST_SUITE(Fragments);

TEST_P(Fragments, AreForbiddenUnlessTheProgramAllowsThem) {
  const Handle listener = listens();
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  writes(connection, "text");
  const auto text = sent();
  ASSERT_EQ(text.size(), 1u);
  EXPECT_TRUE(text[0].ip.dont_fragment);
  EXPECT_EQ(text[0].ip.identification, 0);
}

// RFC 6864 §4.3: "Sources emitting non-atomic datagrams MUST NOT repeat IPv4 ID values".
TEST_P(Fragments, HaveNumbersThatDoNotRepeat) {
  if (!v4()) return;  // IPv6 has neither DF nor fragments by routers
  const Handle listener = listens({.connection = {.no_delay = true, .may_fragment = true}});
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  std::set<std::uint16_t> seen;
  std::vector<Packet> all;
  for (int i = 0; i < 8; ++i) {
    writes(connection, "text");
    all.push_back(only());
  }
  runs_for(1_s);
  for (Packet& p : sent()) all.push_back(std::move(p));  // sent again
  ASSERT_GE(all.size(), 9u);
  for (const Packet& p : all) {
    EXPECT_FALSE(p.ip.dont_fragment);
    EXPECT_TRUE(seen.insert(p.ip.identification).second) << p.ip.identification;
  }
  EXPECT_TRUE(stack_.options(connection)->may_fragment);
  stack_.abort(connection, now_);
}

}  // namespace
}  // namespace synfin::protocol_test
