// SPDX-License-Identifier: Apache-2.0
//
// As gtest_main, and `--update`: writes the pages of figures instead of comparing with them.
#include <gtest/gtest.h>

#include <cstdio>
#include <string_view>

#include "page.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--update") {
      std::fprintf(stderr, "netsim_test: unknown option %s (there is --update)\n", argv[i]);
      return 2;
    }
    synfin::netsim::set_updating();
  }
  return RUN_ALL_TESTS();
}
