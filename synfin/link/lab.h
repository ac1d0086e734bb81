// SPDX-License-Identifier: Apache-2.0
//
// The private network of `--lab`: this process leaves the host's network for one of its own, in which the
// kernel sits at one end of a TUN device and Synfin at the other.
//
//     kernel 10.77.0.1/24, fd77::1/64  ── synfin0 ──  Synfin 10.77.0.2/24, fd77::2/64
#pragma once

#include <memory>
#include <string>

#include "synfin/link/tun.h"
#include "synfin/wire/address.h"

namespace synfin::link {

struct LabOptions {
  /// Where received packets are put; outlives the lab.
  wire::BlockPool& pool;
  /// 68 to 65535 octets; IPv6 needs 1280.
  std::uint32_t mtu = 1500;
  std::string device = "synfin0";
  /// As in `TunOptions`: a stack takes what `LinkInfo::offload` says, and so does `runtime::Runtime`.
  bool offload = true;
};

struct Lab {
  std::unique_ptr<TunLink> link;
  wire::Prefix kernel_v4;
  wire::Prefix kernel_v6;
  wire::Prefix synfin_v4;
  wire::Prefix synfin_v6;
  /// Why IPv6 cannot be used here (switched off in this kernel, MTU below 1280); empty: it can.
  std::string ipv6_problem;
};

/// Makes the lab: a network namespace (within a user namespace where this process may not make one by itself;
/// it is then root there and nobody outside), `lo` and the TUN device up, the kernel's addresses set and
/// usable at once. Child processes are in the lab as well. It vanishes with the last process in it, and
/// touches nothing of the host.
///
/// Must be called while the process has one thread: a namespace belongs to a thread, and other threads would
/// stay outside. The error is one line that says what failed, why and what to do; the process may then be
/// left in an empty network namespace, except where /dev/net/tun cannot be opened or namespaces are
/// forbidden: nothing is changed then.
[[nodiscard]] std::expected<Lab, LinkError> make_lab(const LabOptions& options);

}  // namespace synfin::link
