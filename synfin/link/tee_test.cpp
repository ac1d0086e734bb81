// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/tee.h"

#include <gtest/gtest.h>

#include "synfin/link/memory_link.h"
#include "synfin/link/test_frames.h"

namespace synfin::link {
namespace {

using namespace testing;
using namespace literals;

class Notebook final : public PacketObserver {
 public:
  void on_packet(Direction direction, const wire::Frame& frame, Instant now) override {
    lines.push_back((direction == Direction::kIn ? "in " : "out ") + text_of(frame) + " " +
                    std::to_string((now - at(0_ms)).ms()));
  }
  std::vector<std::string> lines;
};

class DeadLink final : public Link {
 public:
  explicit DeadLink(std::size_t lives) : lives_(lives) {}
  const LinkInfo& info() const override { return info_; }
  std::expected<std::size_t, LinkError> receive(std::span<wire::Frame>, Instant) override {
    return std::unexpected{LinkError{"dead", 5}};
  }
  std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch, Instant) override {
    if (lives_ == 0) return std::unexpected{LinkError{"dead", 5}};
    --lives_;
    for (auto& frame : batch) frame.clear();
    return batch.size();
  }

 private:
  LinkInfo info_;
  std::size_t lives_;
};

TEST(TeeLink, ShowsEveryFrameOfBothDirectionsOnce) {
  wire::BlockPool pool;
  Notebook notebook;
  auto [near, far] = make_memory_pair({.name = "near"}, {.name = "far"}, 2);
  TeeLink tee{std::move(near), notebook};
  EXPECT_EQ(tee.info().name, "near");

  std::array<wire::Frame, 3> out;
  out[0] = frame_of(pool, "a", "1");
  out[1] = frame_of(pool, "b", "2");
  out[2] = frame_of(pool, "c", "3");
  EXPECT_EQ(tee.send(out, at(1_ms)).value(), 2U);
  EXPECT_EQ(notebook.lines, (std::vector<std::string>{"out a1 1", "out b2 1"}));

  std::array<wire::Frame, 2> in;
  ASSERT_EQ(far->receive(in, at(2_ms)).value(), 2U);
  EXPECT_EQ(tee.send(std::span{out}.subspan(2), at(2_ms)).value(), 1U);
  EXPECT_EQ(far->send(in, at(3_ms)).value(), 2U);
  std::array<wire::Frame, 8> back;
  EXPECT_EQ(tee.receive(back, at(3_ms)).value(), 2U);
  EXPECT_EQ(notebook.lines,
            (std::vector<std::string>{"out a1 1", "out b2 1", "out c3 2", "in a1 3", "in b2 3"}));

  EXPECT_EQ(far->receive(in, at(3_ms)).value(), 1U);
  for (auto& frame : in) frame.clear();
  for (auto& frame : back) frame.clear();
  EXPECT_EQ(pool.blocks_in_use(), 0U) << "the tee keeps nothing";
}

TEST(TeeLink, ShowsLargeBatchesWhole) {
  wire::BlockPool pool;
  Notebook notebook;
  auto [near, far] = make_memory_pair({}, {}, 200);
  TeeLink tee{std::move(near), notebook};
  auto out = numbered(pool, 150);
  EXPECT_EQ(tee.send(out, at(0_ms)).value(), 150U);
  ASSERT_EQ(notebook.lines.size(), 150U);
  for (std::size_t i = 0; i < 150; ++i) EXPECT_EQ(notebook.lines[i], "out " + std::to_string(i) + " 0");
}

TEST(TeeLink, PassesErrorsOnAfterWhatWasTaken) {
  wire::BlockPool pool;
  Notebook notebook;
  TeeLink tee{std::make_unique<DeadLink>(1), notebook};
  auto out = numbered(pool, 40);
  EXPECT_EQ(tee.send(out, at(0_ms)).value(), 32U) << "the inner link died after the first chunk";
  EXPECT_EQ(notebook.lines.size(), 32U);
  const auto again = tee.send(std::span{out}.subspan(32), at(0_ms));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, "dead");
  std::array<wire::Frame, 1> in;
  EXPECT_FALSE(tee.receive(in, at(0_ms)));
  EXPECT_EQ(notebook.lines.size(), 32U);
}

}  // namespace
}  // namespace synfin::link
