// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/memory_link.h"

#include <gtest/gtest.h>

#include "synfin/link/test_frames.h"

namespace synfin::link {
namespace {

using namespace testing;
using namespace literals;

class MemoryLinkTest : public ::testing::Test {
 protected:
  void make(std::size_t queue_frames, bool offload = false) {
    std::tie(a_, b_) = make_memory_pair({.name = "a", .mtu = 1500, .offload = offload},
                                        {.name = "b", .mtu = 1400, .offload = offload}, queue_frames);
  }
  std::vector<std::string> received(MemoryLink& link) {
    std::array<wire::Frame, 16> batch;
    const std::size_t count = link.receive(batch, at(0_ms)).value();
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) texts.push_back(text_of(batch[i]));
    return texts;
  }

  wire::BlockPool pool_;
  std::unique_ptr<MemoryLink> a_;
  std::unique_ptr<MemoryLink> b_;
};

using Texts = std::vector<std::string>;

TEST_F(MemoryLinkTest, FramesCrossInOrderBothWaysWithoutACopy) {
  make(8);
  std::array<wire::Frame, 2> out;
  out[0] = frame_of(pool_, "head", "payload");
  out[1] = frame_of(pool_, "second");
  const std::byte* const lies_at = out[0].slices[0].data();

  EXPECT_EQ(a_->send(out, at(0_ms)).value(), 2U);
  EXPECT_EQ(out[0].size(), 0U) << "taken frames are left empty";
  EXPECT_EQ(b_->pending(), 2U);

  std::array<wire::Frame, 4> in;
  ASSERT_EQ(b_->receive(in, at(0_ms)).value(), 2U);
  EXPECT_EQ(text_of(in[0]), "headpayload");
  EXPECT_EQ(in[0].slices[0].data(), lies_at);
  EXPECT_EQ(text_of(in[1]), "second");
  EXPECT_EQ(received(*a_), Texts{}) << "a frame does not come back to its sender";

  EXPECT_EQ(b_->send(std::span{in}.first(2), at(0_ms)).value(), 2U);
  EXPECT_EQ(received(*a_), (Texts{"headpayload", "second"}));
  EXPECT_EQ(a_->info().name, "a");
  EXPECT_EQ(b_->info().mtu, 1400U);
  EXPECT_EQ(a_->descriptor(), -1);
  EXPECT_TRUE(a_->next_deadline().is_never());
}

TEST_F(MemoryLinkTest, FullQueueRefusesTheRestAndTakesItLater) {
  make(3);
  auto out = numbered(pool_, 5);
  EXPECT_EQ(a_->send(out, at(0_ms)).value(), 3U);
  EXPECT_EQ(text_of(out[3]), "3") << "what was refused is untouched";
  EXPECT_EQ(a_->send(std::span{out}.subspan(3), at(0_ms)).value(), 0U);

  std::array<wire::Frame, 2> in;
  EXPECT_EQ(b_->receive(in, at(0_ms)).value(), 2U);
  EXPECT_EQ(a_->send(std::span{out}.subspan(3), at(0_ms)).value(), 2U);
  EXPECT_EQ(received(*b_), (Texts{"2", "3", "4"}));
}

TEST_F(MemoryLinkTest, RingKeepsOrderOverManyTurns) {
  make(3);
  std::size_t sent = 0;
  std::size_t seen = 0;
  for (int turn = 0; turn < 50; ++turn) {
    auto out = numbered(pool_, 1 + static_cast<std::size_t>(turn) % 4, sent);
    sent += a_->send(out, at(0_ms)).value();
    for (const std::string& text : received(*b_)) EXPECT_EQ(text, std::to_string(seen++));
  }
  EXPECT_EQ(seen, sent);
  EXPECT_GT(seen, 100U);
}

TEST_F(MemoryLinkTest, WhatWasSentBeforeThePeerWentCanBeReadAndTheRestIsDropped) {
  make(4);
  auto out = numbered(pool_, 2);
  EXPECT_EQ(a_->send(out, at(0_ms)).value(), 2U);
  a_.reset();
  EXPECT_EQ(received(*b_), (Texts{"0", "1"}));

  std::array<wire::Frame, 6> answers;
  for (auto& frame : answers) frame = frame_of(pool_, "h", "payload");
  EXPECT_EQ(b_->send(answers, at(0_ms)).value(), 6U) << "dropped, not refused, though the ring has 4 places";
  EXPECT_EQ(b_->counters().dropped_peer_gone, 6U);
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
}

TEST_F(MemoryLinkTest, UnreadFramesGoWithTheLastEnd) {
  make(4);
  std::array<wire::Frame, 1> out;
  out[0] = frame_of(pool_, "h", "payload");
  EXPECT_EQ(b_->send(out, at(0_ms)).value(), 1U);
  b_.reset();
  EXPECT_EQ(pool_.blocks_in_use(), 1U);
  a_.reset();
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
}

TEST_F(MemoryLinkTest, PacketsAboveTheSendersMtuAreLostUnlessOffloadCutsThem) {
  const std::string longest(1400, 'x');
  for (const bool offload : {false, true}) {
    SCOPED_TRACE(offload);
    make(4, offload);
    std::array<wire::Frame, 3> out;
    out[0] = frame_of(pool_, "", longest);
    out[1] = frame_of(pool_, "y", longest);
    out[2] = frame_of(pool_, "z", longest);
    out[2].segment_size = 700;
    EXPECT_EQ(b_->send(out, at(0_ms)).value(), 3U);
    EXPECT_EQ(b_->counters().dropped_too_long, offload ? 1U : 2U);
    EXPECT_EQ(received(*a_), (offload ? Texts{longest, "z" + longest} : Texts{longest}));
  }
}

TEST_F(MemoryLinkTest, ChecksumLeftToTheLinkArrivesAsVerified) {
  make(4, true);
  std::array<wire::Frame, 2> out;
  out[0] = frame_of(pool_, "unfilled");
  out[0].needs_checksum = true;
  out[1] = frame_of(pool_, "filled");
  EXPECT_EQ(a_->send(out, at(0_ms)).value(), 2U);
  std::array<wire::Frame, 2> in;
  ASSERT_EQ(b_->receive(in, at(0_ms)).value(), 2U);
  EXPECT_TRUE(in[0].checksum_verified);
  EXPECT_FALSE(in[1].checksum_verified);
}

}  // namespace
}  // namespace synfin::link
