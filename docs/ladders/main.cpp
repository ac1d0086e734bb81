// SPDX-License-Identifier: Apache-2.0
//
// Makes the ladders and tables of docs/*.md, in virtual time and with fixed seeds.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "exhibits.h"
#include "page.h"

namespace synfin::ladders {
namespace {

int complain(const std::string& line) {
  std::fprintf(stderr, "synfin-ladders: %s\n", line.c_str());
  return 1;
}

int update(const std::string& path) {
  const auto page = read_page(path);
  if (!page) return complain(page.error());
  const auto filled = fill(*page);
  if (!filled) return complain(path + ": " + filled.error());
  for (const std::string& name : filled->differing) std::printf("%s: %s\n", path.c_str(), name.c_str());
  if (filled->differing.empty()) return 0;
  std::ofstream file(path, std::ios::binary);
  file << filled->text;
  file.close();
  return file ? 0 : complain(path + ": cannot be written");
}

int check(const std::string& path) {
  const std::string complaint = complaint_about(path);
  return complaint.empty() ? 0 : complain(complaint);
}

int list() {
  for (const Exhibit& exhibit : all_exhibits()) std::printf("%s\n", std::string{exhibit.name}.c_str());
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "--update") return update(arguments[1]);
  if (arguments.size() == 2 && arguments[0] == "--check") return check(arguments[1]);
  if (arguments.size() == 1 && arguments[0] == "--list") return list();
  if (arguments.size() == 1) {
    if (const Exhibit* exhibit = find_exhibit(arguments[0])) {
      std::fputs(exhibit->make().c_str(), stdout);
      return 0;
    }
  }
  (void)complain("usage: synfin-ladders --update PAGE | --check PAGE | --list | NAME");
  return 2;
}

}  // namespace
}  // namespace synfin::ladders

int main(int argc, char** argv) {
  return synfin::ladders::run({argv + 1, argv + argc});
}
