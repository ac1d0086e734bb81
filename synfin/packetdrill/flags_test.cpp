// SPDX-License-Identifier: Apache-2.0
#include "synfin/packetdrill/flags.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace synfin::packetdrill {
namespace {

class FlagsTest : public testing::Test {
 protected:
  FlagsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "synfin-flags-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder = name;
  }
  ~FlagsTest() override { std::filesystem::remove_all(folder); }
  void sysctl(const std::string& name, const std::string& value) {
    std::ofstream(folder + '/' + name) << value << '\n';
  }
  tcp::Settings settings(const std::string& flags) { return settings_of(*parse_flags(flags), folder); }
  std::string folder;
};

TEST_F(FlagsTest, WithoutFlagsTheBuffersAreLinuxs) {
  const tcp::Settings s = settings("");
  EXPECT_EQ(s.tcp_rmem, tcp::Triple{15u << 20});
  EXPECT_EQ(s.tcp_wmem, tcp::Triple{256u << 10});
  EXPECT_EQ(s.tcp_quick_acks, 16u);
}

TEST_F(FlagsTest, NamesSettings) {
  const tcp::Settings s = settings("tcp_sack=0,tcp_rmem=64k");
  EXPECT_FALSE(s.tcp_sack);
  EXPECT_EQ(s.tcp_rmem, tcp::Triple{65536u});
}

TEST_F(FlagsTest, ReadsSysctlsAnew) {
  sysctl("tcp_rmem", "4096\t540000\t15728640");
  sysctl("tcp_wmem", "4096\t50000\t4194304");
  sysctl("tcp_timestamps", "0");
  EXPECT_EQ(settings("sysctl").tcp_rmem, tcp::Triple{15728640u}) << "the maximum";
  EXPECT_EQ(settings("sysctl").tcp_wmem, tcp::Triple{50000u}) << "the default";
  EXPECT_FALSE(settings("sysctl").tcp_timestamps);
  EXPECT_TRUE(settings("").tcp_timestamps) << "only where it is asked for";
  sysctl("tcp_timestamps", "1");
  EXPECT_TRUE(settings("sysctl").tcp_timestamps);
}

TEST_F(FlagsTest, WhatIsNamedComesOnTopOfSysctls) {
  sysctl("tcp_sack", "1");
  EXPECT_FALSE(settings("sysctl,tcp_sack=0").tcp_sack);
}

TEST_F(FlagsTest, LeavesOutFastOpenBitsItDoesNotKnow) {
  sysctl("tcp_fastopen", "459779");  // 0x70403
  EXPECT_EQ(settings("sysctl").tcp_fastopen, 0x403u);
}

TEST_F(FlagsTest, LeavesOutCongestionControlItDoesNotKnow) {
  sysctl("tcp_congestion_control", "vegas");
  EXPECT_EQ(settings("sysctl").tcp_congestion_control, tcp::CongestionControl::kCubic);
  sysctl("tcp_congestion_control", "bbr");
  EXPECT_EQ(settings("sysctl").tcp_congestion_control, tcp::CongestionControl::kCubic)
      << "a machine's default, which scripts cannot change everywhere";
  sysctl("tcp_congestion_control", "reno");
  EXPECT_EQ(settings("sysctl").tcp_congestion_control, tcp::CongestionControl::kReno);
}

TEST_F(FlagsTest, ReadsTheKeyOfFastOpen) {
  EXPECT_FALSE(fast_open_key(folder));
  sysctl("tcp_fastopen_key", "00000000-00000000-00000000-00000000");
  EXPECT_FALSE(fast_open_key(folder)) << "none was set";
  sysctl("tcp_fastopen_key", "04030201-08070605-0c0b0a09-100f0e0d");
  const auto key = fast_open_key(folder);
  ASSERT_TRUE(key);
  for (std::size_t n = 0; n < key->size(); ++n) EXPECT_EQ(std::to_integer<std::size_t>((*key)[n]), n + 1);
}

TEST_F(FlagsTest, TakesTheMtu) {
  EXPECT_EQ(parse_flags("")->mtu, 1500u);
  EXPECT_EQ(parse_flags("sysctl,mtu=1520")->mtu, 1520u);
}

TEST_F(FlagsTest, SaysWhatIsWrong) {
  for (const char* text : {"tcp_sak=1", "tcp_sack=2", "nonsense", "mtu=68", "mtu=x"})
    EXPECT_FALSE(parse_flags(text)) << text;
  EXPECT_NE(parse_flags("tcp_sak=1").error().find("tcp_sack"), std::string::npos);
}

}  // namespace
}  // namespace synfin::packetdrill
