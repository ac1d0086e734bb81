// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "synfin/base/entropy.h"

namespace synfin::runtime {

/// The system's source of randomness, through libsodium: for keys, initial sequence numbers and ports in
/// production.
class SystemEntropy final : public Entropy {
 public:
  /// Aborts the program where the system has no randomness to give: nothing safe could follow.
  SystemEntropy();
  void fill(MutableBytes out) override;
};

}  // namespace synfin::runtime
