// SPDX-License-Identifier: Apache-2.0
#include "synfin/runtime/system_entropy.h"

#include <sodium.h>

#include <cstdlib>

namespace synfin::runtime {

SystemEntropy::SystemEntropy() {
  if (sodium_init() < 0) std::abort();
}

void SystemEntropy::fill(MutableBytes out) {
  randombytes_buf(out.data(), out.size());
}

}  // namespace synfin::runtime
