// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/impair_spec.h"

#include <gtest/gtest.h>

namespace synfin::link {
namespace {

using namespace literals;

TEST(ImpairSpec, ReadsEveryItemForBothDirections) {
  const auto spec = parse_impair(
      "loss=1%,delay=20ms,jitter=5ms,reorder=2%,dup=1.5%,corrupt=0.1%,mark=3%,rate=100mbit,queue=50,seed=7");
  ASSERT_TRUE(spec) << spec.error();
  const Impairment both{.loss = 0.01,
                        .duplicate = 0.015,
                        .corrupt = 0.001,
                        .mark = 0.03,
                        .reorder = 0.02,
                        .delay = 20_ms,
                        .jitter = 5_ms,
                        .rate = 100'000'000,
                        .queue = 50};
  EXPECT_EQ(*spec, (ImpairSpec{.in = both, .out = both, .seed = 7}));
}

TEST(ImpairSpec, PrefixHoldsForItsItemAlone) {
  const auto spec = parse_impair("in:loss=5%,delay=1s,out:delay=10ms,out:rate=2.5gbit");
  ASSERT_TRUE(spec) << spec.error();
  EXPECT_EQ(spec->in, (Impairment{.loss = 0.05, .delay = 1_s}));
  EXPECT_EQ(spec->out, (Impairment{.delay = 10_ms, .rate = 2'500'000'000}));
  EXPECT_EQ(spec->seed, std::nullopt);
}

TEST(ImpairSpec, RepeatedOptionsAddUpAndTheLaterCounts) {
  const auto first = parse_impair("loss=5%,seed=3");
  ASSERT_TRUE(first) << first.error();
  const auto second = parse_impair("in:loss=0%,delay=500us", *first);
  ASSERT_TRUE(second) << second.error();
  EXPECT_EQ(
      *second,
      (ImpairSpec{.in = {.loss = 0, .delay = 500_us}, .out = {.loss = 0.05, .delay = 500_us}, .seed = 3}));
}

TEST(ImpairSpec, TakesTheEdgesOfTheRanges) {
  for (const char* text : {"loss=0%", "loss=100%", "delay=0ms", "delay=3600s", "rate=1bit", "rate=10000gbit",
                           "queue=1", "queue=1000000", "seed=0", "seed=18446744073709551615"}) {
    EXPECT_TRUE(parse_impair(text)) << text;
  }
}

struct Wrong {
  const char* text;
  const char* message;
};

class ImpairSpecWrong : public ::testing::TestWithParam<Wrong> {};

TEST_P(ImpairSpecWrong, NamesTheItemAndWhatIsAllowed) {
  const auto spec = parse_impair(GetParam().text);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, ImpairSpecWrong,
    ::testing::Values(
        Wrong{"", "impairment '': an item reads NAME=VALUE, such as loss=1%"},
        Wrong{"loss=1%,", "impairment '': an item reads NAME=VALUE, such as loss=1%"},
        Wrong{"loss", "impairment 'loss': an item reads NAME=VALUE, such as loss=1%"},
        Wrong{"delay=1ms,lost=1%,dup=1%",
              "impairment 'lost=1%': 'lost' is unknown; known are loss, delay, jitter, reorder, dup, "
              "corrupt, mark, rate, "
              "queue and seed"},
        Wrong{"up:loss=1%", "impairment 'up:loss=1%': 'up' is no direction; in: and out: are"},
        Wrong{"loss=120%", "impairment 'loss=120%': at most 100% is possible"},
        Wrong{"in:loss=100.001%", "impairment 'in:loss=100.001%': at most 100% is possible"},
        Wrong{"loss=1", "impairment 'loss=1': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"dup=-1%", "impairment 'dup=-1%': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"corrupt=nan%", "impairment 'corrupt=nan%': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"reorder=inf%", "impairment 'reorder=inf%': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"reorder=%", "impairment 'reorder=%': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"loss=1%%", "impairment 'loss=1%%': a percentage is needed, such as 1% or 0.1%"},
        Wrong{"delay=20",
              "impairment 'delay=20': a time with its unit (us, ms or s) is needed, such as 20ms"},
        Wrong{"delay=20min",
              "impairment 'delay=20min': a time with its unit (us, ms or s) is needed, such as 20ms"},
        Wrong{"jitter=1e3ms",
              "impairment 'jitter=1e3ms': a time with its unit (us, ms or s) is needed, such as 20ms"},
        Wrong{"delay=3601s", "impairment 'delay=3601s': at most 3600s is possible"},
        Wrong{"rate=100",
              "impairment 'rate=100': a rate with its unit (bit, kbit, mbit or gbit a second) is needed, "
              "such as "
              "100mbit"},
        Wrong{"rate=0mbit", "impairment 'rate=0mbit': 1bit to 10000gbit is possible"},
        Wrong{"queue=0", "impairment 'queue=0': a number of packets from 1 to 1000000 is needed"},
        Wrong{"queue=1k", "impairment 'queue=1k': a number of packets from 1 to 1000000 is needed"},
        Wrong{"out:seed=1",
              "impairment 'out:seed=1': the seed is one for both directions; leave out the prefix"},
        Wrong{"seed=-1", "impairment 'seed=-1': a whole number from 0 to 18446744073709551615 is needed"},
        Wrong{"seed=18446744073709551616",
              "impairment 'seed=18446744073709551616': a whole number from 0 to 18446744073709551615 is "
              "needed"}));

}  // namespace
}  // namespace synfin::link
