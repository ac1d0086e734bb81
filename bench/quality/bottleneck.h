// SPDX-License-Identifier: Apache-2.0
//
// One bad network between two namespaces: what the kernel or Synfin sends on one side passes the impaired
// link before the kernel on the other side gets it.
//
//     near: kernel 10.78.2.1 ── near ══ bottleneck ══ far ── 10.78.2.2 kernel: far
//           Synfin 10.78.1.2 ── synfin0 ┘ (forwarded by the near kernel)
#pragma once

#include <memory>
#include <string>

#include "synfin/link/file_descriptor.h"
#include "synfin/link/impair.h"
#include "synfin/link/tun.h"

namespace synfin::bench {

inline constexpr std::uint32_t kNearKernel = 0x0a4e0201, kFarKernel = 0x0a4e0202, kNearSynfin = 0x0a4e0102;
inline constexpr std::uint16_t kSinkPort = 7000;

/// The steady clock, which all processes of a run share.
Instant steady_now();

/// Network namespaces without names: they vanish with the last process in them. All throw std::runtime_error
/// with one line that says what failed. To be called in the order given, while the process has one thread.
///
/// Moves the process into the near namespace and returns its device; Synfin's own comes out by `synfin`.
std::unique_ptr<link::TunLink> make_near(wire::BlockPool& pool, std::unique_ptr<link::TunLink>& synfin);
/// Moves it into the far one. Processes forked between the two calls stay in the near one.
std::unique_ptr<link::TunLink> make_far(wire::BlockPool& pool);

/// Carries packets between the two until `end`. `spec` is seen from the near side: `out:` is towards the far
/// one. Every packet that the near side gives or gets is shown to `capture`, a file, unless that is empty.
class Bottleneck {
 public:
  Bottleneck(std::unique_ptr<link::TunLink> near, std::unique_ptr<link::TunLink> far,
             const link::ImpairSpec& spec, wire::BlockPool& pool, const std::string& capture);
  ~Bottleneck();
  void run(Instant end);
  /// Of the way towards the far side.
  const link::ImpairCounters& counters() const { return far_.out_counters(); }

 private:
  class Recorder;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<link::Link> near_;
  link::ImpairedLink far_;
};

}  // namespace synfin::bench
