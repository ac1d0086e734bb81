// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace synfin::tcp {
namespace {

using namespace literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string error_of(std::string_view name, std::string_view value) {
  Settings settings;
  const auto result = settings.set(name, value);
  return result ? "accepted" : result.error();
}

Duration msl_from(std::string_view text) {
  Settings settings;
  const auto result = settings.set("msl", text);
  EXPECT_TRUE(result) << result.error();
  return settings.msl;
}

TEST(Settings, DefaultsAreThoseOfTheList) {
  const Settings settings;
  EXPECT_EQ(settings.msl, 30_s);
  EXPECT_EQ(settings.tcp_syn_retries, 7u);
  EXPECT_FALSE(settings.tcp_abort_on_overflow);
  EXPECT_TRUE(settings.tcp_timestamps);
  for (const SettingInfo& info : all_settings()) EXPECT_EQ(settings.get(info.name), info.default_value);
}

TEST(Settings, EveryDefaultMinimumAndMaximumIsTakenAndGivenBack) {
  for (const SettingInfo& info : all_settings()) {
    for (const std::string_view value : {info.minimum, info.maximum, info.default_value}) {
      Settings settings;
      const auto result = settings.set(info.name, value);
      EXPECT_TRUE(result) << result.error();
      EXPECT_EQ(settings.get(info.name), value) << info.name;
    }
  }
}

TEST(Settings, InfoIsCompleteAndNamesAreUnique) {
  std::set<std::string_view> names;
  for (const SettingInfo& info : all_settings()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.meaning.empty()) << info.name;
  }
  EXPECT_TRUE(names.contains("tcp_abort_on_overflow"));
}

TEST(Settings, SetsOnlyTheOneThatIsNamed) {
  Settings settings;
  ASSERT_TRUE(settings.set("tcp_syn_retries", "2"));
  EXPECT_EQ(settings.tcp_syn_retries, 2u);
  for (const SettingInfo& info : all_settings()) {
    if (info.name == "tcp_syn_retries") continue;
    EXPECT_EQ(settings.get(info.name), info.default_value);
  }
}

TEST(Settings, TimesTakeSuffixesAndDecimals) {
  EXPECT_EQ(msl_from("2"), 2_s);
  EXPECT_EQ(msl_from("0.25"), 250_ms);
  EXPECT_EQ(msl_from("1500us"), 1500_us);
  EXPECT_EQ(msl_from("200ms"), 200_ms);
  EXPECT_EQ(msl_from("30s"), 30_s);
  EXPECT_EQ(msl_from("1.5min"), 90_s);
  EXPECT_EQ(msl_from("0.1h"), 360_s);
  EXPECT_EQ(msl_from("1.000000001"), 1000000001_ns);
}

TEST(Settings, TimesAreGivenInSeconds) {
  Settings settings;
  ASSERT_TRUE(settings.set("msl", "1500us"));
  EXPECT_EQ(settings.get("msl"), "0.0015");
  ASSERT_TRUE(settings.set("msl", "2min"));
  EXPECT_EQ(settings.get("msl"), "120");
}

TEST(Settings, SizesTakeBinarySuffixes) {
  Settings settings;
  ASSERT_TRUE(settings.set("tcp_rmem", "64k"));
  EXPECT_EQ(settings.tcp_rmem, Triple{65536u});
  ASSERT_TRUE(settings.set("tcp_rmem", "2M"));
  EXPECT_EQ(settings.tcp_rmem, Triple{2u << 20});
  EXPECT_EQ(settings.get("tcp_rmem"), "2097152");
}

TEST(Settings, ThreeNumbersAreTakenAsSysctlPrintsThem) {
  Settings settings;
  EXPECT_EQ(settings.get("tcp_rmem"), "4096 131072 6291456");
  ASSERT_TRUE(settings.set("tcp_rmem", "4096\t8192\t 16k "));
  EXPECT_EQ(settings.tcp_rmem, (Triple{4096, 8192, 16384}));
  EXPECT_EQ(settings.get("tcp_rmem"), "4096 8192 16384");
  ASSERT_TRUE(settings.set("tcp_wmem", "4k 4k 1M"));
  EXPECT_EQ(settings.get("tcp_wmem"), "4096 4096 1048576");
  ASSERT_TRUE(settings.set("tcp_mem", "100 200 300"));
  EXPECT_EQ(settings.tcp_mem, (Triple{100, 200, 300}));
  EXPECT_EQ(settings.get("tcp_mem"), "100 200 300");
}

TEST(Settings, OneNumberStandsForAllThree) {
  Settings settings;
  ASSERT_TRUE(settings.set("tcp_rmem", "8192"));
  EXPECT_EQ(settings.tcp_rmem, (Triple{8192, 8192, 8192}));
  EXPECT_EQ(settings.get("tcp_rmem"), "8192");
}

TEST(Settings, ThreeNumbersMustAscendAndLieInRange) {
  EXPECT_EQ(error_of("tcp_rmem", "4096 8192 4096"),
            "tcp_rmem: '4096 8192 4096' is not in ascending order (minimum, default, maximum)");
  EXPECT_EQ(error_of("tcp_rmem", "1 4096 8192"),
            "tcp_rmem: 1 4096 8192 is out of range 2048..1073741824 octets");
  EXPECT_EQ(error_of("tcp_mem", "100 200 9999999999"),
            "tcp_mem: 100 200 9999999999 is out of range 16..1073741824 4096-octet pages");
  EXPECT_EQ(error_of("tcp_mem", "1M"),
            "tcp_mem: '1M' is not an integer, or three of them (range 16..1073741824 4096-octet pages)");
}

TEST(Settings, ChoicesAreTakenAndGivenByName) {
  Settings settings;
  EXPECT_EQ(settings.tcp_congestion_control, CongestionControl::kCubic);
  ASSERT_TRUE(settings.set("tcp_congestion_control", "reno"));
  EXPECT_EQ(settings.tcp_congestion_control, CongestionControl::kReno);
  EXPECT_EQ(settings.get("tcp_congestion_control"), "reno");
  for (const char* value : {"", "vegas", "0", "Cubic", "cubic "}) {
    EXPECT_EQ(error_of("tcp_congestion_control", value),
              "tcp_congestion_control: '" + std::string(value) + "' is not cubic, reno, none or bbr");
    EXPECT_FALSE(settings.set("tcp_congestion_control", value));
  }
  EXPECT_EQ(settings.tcp_congestion_control, CongestionControl::kReno);
}

TEST(Settings, OutOfRangeIsRefusedWithTheRange) {
  EXPECT_EQ(error_of("tcp_syn_retries", "200"), "tcp_syn_retries: 200 is out of range 0..127");
  EXPECT_EQ(error_of("tcp_syn_retries", "-1"), "tcp_syn_retries: -1 is out of range 0..127");
  EXPECT_EQ(error_of("tcp_sack", "2"), "tcp_sack: 2 is out of range 0..1");
  EXPECT_EQ(error_of("msl", "1us"), "msl: 1us is out of range 0.001..1000 s");
  EXPECT_EQ(error_of("msl", "99999999999h"), "msl: 99999999999h is out of range 0.001..1000 s");
  EXPECT_EQ(error_of("tcp_rmem", "99999999999999999999"),
            "tcp_rmem: 99999999999999999999 is out of range 2048..1073741824 octets");
}

TEST(Settings, NonsenseIsRefusedAndChangesNothing) {
  for (const char* value :
       {"", "-", "x", "1x", " 1", "1 ", "0x10", "+1", "1.5", "1.", ".5", "1k", "1s", "--1"}) {
    EXPECT_THAT(error_of("tcp_syn_retries", value), HasSubstr("is not an integer (range 0..127)")) << value;
  }
  for (const char* value :
       {"", "s", "1.2.3", "1.", ".5s", "5 s", "5parsecs", "5S", "1.0000000001", "0.0001us"}) {
    EXPECT_THAT(error_of("msl", value), HasSubstr("is not a time")) << value;
  }
  for (const char* value : {"k", "1.5k", "1kk", "1m", "64KiB"}) {
    EXPECT_THAT(error_of("tcp_rmem", value), HasSubstr("is not a number of octets")) << value;
  }
  for (const char* value :
       {"", " ", "1 2", "4096 8192", "4096 8192 16384 32768", "4096,8192,16384", "4096 x 8192"})
    EXPECT_THAT(error_of("tcp_rmem", value), HasSubstr("or three of them (range 2048..1073741824 octets)"));
  EXPECT_THAT(error_of("tcp_sack", "on"), HasSubstr("'on' is not 0 or 1"));

  Settings settings;
  EXPECT_FALSE(settings.set("msl", "soon"));
  EXPECT_FALSE(settings.set("msl", "2000s"));
  EXPECT_EQ(settings.msl, 30_s);
}

TEST(Settings, UnknownNamesAreAnsweredWithTheNearest) {
  EXPECT_EQ(error_of("tcp_syn_retrys", "1"),
            "unknown setting 'tcp_syn_retrys'; did you mean 'tcp_syn_retries'?");
  EXPECT_THAT(error_of("tcp_sak", "1"),
              AllOf(StartsWith("unknown setting 'tcp_sak'; did you mean "), HasSubstr("'tcp_sack'")));
  EXPECT_THAT(error_of("keepalive", "1"),
              AllOf(HasSubstr("'tcp_keepalive_time', 'tcp_keepalive_intvl' or 'tcp_keepalive_probes'?")));
  EXPECT_EQ(error_of("zzzzzz", "1"), "unknown setting 'zzzzzz'; `synfin settings` lists all of them");
  EXPECT_THAT(error_of("", "1"), Not(HasSubstr("did you mean")));
  EXPECT_THAT(error_of(std::string(100'000, 'a'), "1"), StartsWith("unknown setting 'aaaa"));
  EXPECT_EQ(Settings{}.get("zzzzzz"), "");
}

}  // namespace
}  // namespace synfin::tcp
