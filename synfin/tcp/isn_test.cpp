// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/isn.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <functional>

#include "synfin/tcp/tuple_hash.h"

namespace synfin::tcp {
namespace {

using namespace literals;

Key secret_of(unsigned char fill) {
  Key key;
  key.fill(std::byte{fill});
  return key;
}

wire::FourTuple tuple_of(std::uint32_t n) {
  return {{wire::IpAddress::v4(10, 77, 0, 2), static_cast<std::uint16_t>(32768 + n % 28000)},
          {wire::IpAddress::v4(0x0a4d'0001 + n / 28000), 80}};
}

wire::FourTuple v6_tuple() {
  return {{*wire::IpAddress::parse("fd77::2"), 40000}, {*wire::IpAddress::parse("fd77::1"), 443}};
}

const IsnGenerator kGenerator(secret_of(1));

// RFC 9293 §3.4.1 MUST-8: the clock moves about every 4 µs.
// RFC 9293: MUST-8.
TEST(Isn, E11_RisesWithTheClockForOneTuple) {
  for (const wire::FourTuple& tuple : {tuple_of(0), v6_tuple()}) {
    const Instant start = Instant::from_ns(1'234'567'000);
    const wire::SeqNum first = kGenerator.next(tuple, start);
    EXPECT_EQ(kGenerator.next(tuple, start), first);
    EXPECT_EQ(kGenerator.next(tuple, start + 4_us) - first, 1);
    EXPECT_EQ(kGenerator.next(tuple, start + 1_s) - first, 250'000);
    for (std::uint32_t hour = 1; hour < 100; ++hour) {
      const Instant now = start + 3600_s * hour;
      EXPECT_EQ(kGenerator.next(tuple, now).raw() - first.raw(), hour * 900'000'000u);
      EXPECT_TRUE(kGenerator.next(tuple, now + 1_ms).after(kGenerator.next(tuple, now)));
    }
  }
}

TEST(Isn, E11_WrapsAfterTwoToThe32Ticks) {
  const Duration round = 4_us * (std::int64_t{1} << 32);
  const Instant start = Instant::from_ns(999'000);
  EXPECT_EQ(kGenerator.next(tuple_of(3), start), kGenerator.next(tuple_of(3), start + round));
  const Instant late = Instant::from_ns(std::int64_t{1} << 62);
  EXPECT_EQ(kGenerator.next(tuple_of(3), late + 4_us) - kGenerator.next(tuple_of(3), late), 1);
}

// RFC 6528 §3, of 100,000 in a row: each lies beyond the last by what the clock went on, three times around.
TEST(Isn, E11_StaysMonotonousForOneTupleThroughTheWraps) {
  for (const wire::FourTuple& tuple : {tuple_of(7), v6_tuple()}) {
    Instant now = Instant::from_ns(987'654'321'000);
    wire::SeqNum last = kGenerator.next(tuple, now);
    int wraps = 0;
    for (std::uint32_t n = 0; n < 100'000; ++n) {
      now = now + 600_ms;
      const wire::SeqNum next = kGenerator.next(tuple, now);
      ASSERT_EQ(next - last, 150'000) << n;
      ASSERT_TRUE(next.after(last)) << n;
      wraps += next.raw() < last.raw() ? 1 : 0;
      last = next;
    }
    EXPECT_GE(wraps, 3);
    EXPECT_LE(wraps, 4);
  }
}

// RFC 9293: SHLD-1.
TEST(Isn, DependsOnEveryPartOfTheTuple) {
  const Instant now = Instant::from_ns(5);
  const wire::FourTuple base = v6_tuple();
  const wire::SeqNum isn = kGenerator.next(base, now);
  wire::FourTuple other = base;
  other.local.port++;
  EXPECT_NE(kGenerator.next(other, now), isn);
  other = base;
  other.remote.port++;
  EXPECT_NE(kGenerator.next(other, now), isn);
  other = base;
  other.local.address = *wire::IpAddress::parse("fd77::3");
  EXPECT_NE(kGenerator.next(other, now), isn);
  other = base;
  other.remote.address = *wire::IpAddress::parse("fd78::1");
  EXPECT_NE(kGenerator.next(other, now), isn);
  EXPECT_NE(kGenerator.next(base.reversed(), now), isn);
}

// RFC 9293: SHLD-1, MUST-9.
TEST(Isn, E11_DiffersWithTheKey) {
  const Instant now = Instant::from_ns(5);
  const IsnGenerator other(secret_of(3));
  const IsnGenerator same(secret_of(1));
  int equal = 0;
  for (std::uint32_t n = 0; n < 1000; ++n) {
    equal += other.next(tuple_of(n), now) == kGenerator.next(tuple_of(n), now) ? 1 : 0;
    ASSERT_EQ(same.next(tuple_of(n), now), kGenerator.next(tuple_of(n), now));
  }
  EXPECT_EQ(equal, 0);

  SeededEntropy entropy(1);
  const IsnGenerator drawn(entropy);
  const IsnGenerator drawn_later(entropy);
  EXPECT_NE(drawn.next(tuple_of(0), now), drawn_later.next(tuple_of(0), now));
}

// Pearson's chi-square over 256 cells: 255 expected, standard deviation 22.6; six of them is no accident.
void expect_uniform(const std::function<std::uint32_t(std::uint32_t)>& sample) {
  constexpr std::uint32_t kSamples = 100'000;
  for (const unsigned shift : {24u, 12u, 0u}) {
    std::array<double, 256> cells{};
    for (std::uint32_t n = 0; n < kSamples; ++n) cells[(sample(n) >> shift) & 0xff] += 1;
    double chi_square = 0;
    for (const double count : cells) chi_square += std::pow(count - kSamples / 256.0, 2) / (kSamples / 256.0);
    EXPECT_LT(chi_square, 255 + 6 * 22.6) << "bits from " << shift;
    EXPECT_GT(chi_square, 255 - 6 * 22.6) << "bits from " << shift;
  }
}

// RFC 9293: MUST-9.
TEST(Isn, E11_SpreadsOverAllNumbers) {
  expect_uniform([](std::uint32_t n) { return kGenerator.next(tuple_of(n), Instant::from_ns(77)).raw(); });
}

// RFC 9293: MUST-9.
TEST(Isn, E11_DifferencesOfNeighboursSpreadToo) {
  expect_uniform([](std::uint32_t n) {
    return kGenerator.next(tuple_of(n + 1), Instant::from_ns(77)).raw() -
           kGenerator.next(tuple_of(n), Instant::from_ns(77)).raw();
  });
}

TEST(TimestampOffset, SpreadsOverAllNumbers) {
  expect_uniform([](std::uint32_t n) { return tuple_hash(secret_of(2), tuple_of(n)).timestamp_offset; });
}

}  // namespace
}  // namespace synfin::tcp
