// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

namespace synfin::netsim {
namespace {

constexpr const char* kAdvice =
    "\nIf that is as it should be: netsim_test --update (of the optimised build), read the difference, and\n"
    "say in the commit why the figures moved.\n";

bool& flag() {
  static bool value = false;
  return value;
}

std::string path_of(std::string_view name) {
  std::string path = SYNFIN_NETSIM "/";
  path += name;
  return path;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string difference(const std::string& before, const std::string& after) {
  const std::vector<std::string> a = lines_of(before), b = lines_of(after);
  std::string out;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size() && i < b.size() && a[i] == b[i]) continue;
    if (i < a.size()) out += "- " + a[i] + "\n";
    if (i < b.size()) out += "+ " + b[i] + "\n";
  }
  return out;
}

}  // namespace

bool updating() {
  return flag();
}
void set_updating() {
  flag() = true;
}

std::string read_page(std::string_view name) {
  std::ifstream file(path_of(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void hold_page(std::string_view name, const std::string& text) {
  const std::string before = read_page(name);
  if (before == text) return;
  if (!updating()) {
    ADD_FAILURE() << name << " says (-), measured (+):\n" << difference(before, text) << kAdvice;
    return;
  }
  std::printf("%s\n%s", std::string(name).c_str(), difference(before, text).c_str());
  std::ofstream file(path_of(name), std::ios::binary);
  file << text;
  file.close();
  EXPECT_TRUE(file) << path_of(name) << " cannot be written";
}

void hold_line(std::string_view name, const std::string& line) {
  EXPECT_NE(("\n" + read_page(name)).find("\n" + line + "\n"), std::string::npos)
      << name << " does not say what was measured:\n+ " << line << kAdvice;
}

}  // namespace synfin::netsim
