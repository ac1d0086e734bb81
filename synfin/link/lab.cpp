// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/lab.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "synfin/link/file_descriptor.h"
#include "synfin/link/netdev.h"

namespace synfin::link {
namespace {

constexpr wire::IpAddress kKernelV4 = wire::IpAddress::v4(10, 77, 0, 1);
constexpr wire::IpAddress kSynfinV4 = wire::IpAddress::v4(10, 77, 0, 2);
constexpr std::uint32_t kLowestIpv6Mtu = 1280;  // RFC 8200 §5

// fd77::`last`
wire::IpAddress lab_v6(std::uint8_t last) {
  std::array<std::byte, 16> octets{};
  octets[0] = std::byte{0xfd};
  octets[1] = std::byte{0x77};
  octets[15] = std::byte{last};
  return wire::IpAddress::from_v6_octets(octets.data());
}

// The number of threads in this process; 1 where /proc cannot tell.
std::size_t thread_count() {
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return 1;
  std::size_t count = 0;
  while (const dirent* entry = ::readdir(tasks)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(tasks);
  return count;
}

NetdevResult write_file(const char* path, std::string_view text) {
  const FileDescriptor file{::open(path, O_WRONLY | O_CLOEXEC)};
  if (file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
  return std::unexpected{system_error(fmt::format("cannot write {}", path), errno)};
}

LinkError user_namespace_error(int code) {
  LinkError error = system_error("cannot make a user namespace for the lab", code);
  error.message +=
      code == ENOSPC
          ? " (none are allowed: run as root, or raise the sysctl user.max_user_namespaces)"
          : " (they are switched off for ordinary users: run as root, or set the sysctl "
            "kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0)";
  return error;
}

// Root of a user namespace of its own: what makes a network namespace possible for everybody.
NetdevResult enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) return std::unexpected{user_namespace_error(errno)};
  const auto map = [](const char* path, const std::string& text) -> NetdevResult {
    auto written = write_file(path, text);
    if (!written) return std::unexpected{user_namespace_error(written.error().code)};
    return written;
  };
  // A group may only be mapped once nobody can drop groups any more: user_namespaces(7).
  if (auto r = map("/proc/self/setgroups", "deny"); !r) return r;
  if (auto r = map("/proc/self/uid_map", fmt::format("0 {} 1", uid)); !r) return r;
  return map("/proc/self/gid_map", fmt::format("0 {} 1", gid));
}

NetdevResult enter_network_namespace() {
  if (thread_count() > 1) {
    return std::unexpected{
        LinkError{"cannot make the lab: it must be made before the program starts other threads", EINVAL}};
  }
  if (::unshare(CLONE_NEWNET) == 0) return {};
  if (errno == EPERM) return enter_user_namespace();
  LinkError error = system_error("cannot make a network namespace for the lab", errno);
  if (error.code == ENOSPC) error.message += " (raise the sysctl user.max_net_namespaces)";
  if (error.code == EINVAL) error.message += " (this kernel is built without network namespaces)";
  return std::unexpected{std::move(error)};
}

// Empty: IPv6 works on the device.
std::string set_up_ipv6(const std::string& device, const wire::Prefix& address, std::uint32_t mtu) {
  if (mtu < kLowestIpv6Mtu) {
    return fmt::format("IPv6 needs an MTU of at least {} octets (RFC 8200 section 5)", kLowestIpv6Mtu);
  }
  const auto added = add_address(device, address);
  if (!added) return added.error().message + " (IPv6 is switched off in this kernel)";
  const auto local = wait_until_local(address.address);
  return local ? std::string{} : local.error().message;
}

}  // namespace

std::expected<Lab, LinkError> make_lab(const LabOptions& options) {
  // Before anything changes, and for a better message than the one from inside the namespace.
  if (auto r = check_tun_available(); !r) return std::unexpected{std::move(r.error())};
  if (auto r = enter_network_namespace(); !r) return std::unexpected{std::move(r.error())};

  auto link = open_tun(TunOptions{.name = options.device,
                                  .mtu = options.mtu,
                                  .pool = options.pool,
                                  .missing = TunMissing::kCreate,
                                  .offload = options.offload});
  if (!link) return std::unexpected{std::move(link.error())};
  Lab lab{.link = std::move(*link),
          .kernel_v4 = {kKernelV4, 24},
          .kernel_v6 = {lab_v6(1), 64},
          .synfin_v4 = {kSynfinV4, 24},
          .synfin_v6 = {lab_v6(2), 64},
          .ipv6_problem = {}};
  const std::string& device = lab.link->info().name;
  if (auto r = set_mtu(device, lab.link->info().mtu); !r) return std::unexpected{std::move(r.error())};
  // Keeps router solicitations out of everybody's captures; without IPv6 there are none to keep out.
  (void)set_no_link_local(device);
  if (auto r = set_up("lo"); !r) return std::unexpected{std::move(r.error())};
  if (auto r = set_up(device); !r) return std::unexpected{std::move(r.error())};
  if (auto r = add_address(device, lab.kernel_v4); !r) return std::unexpected{std::move(r.error())};
  lab.ipv6_problem = set_up_ipv6(device, lab.kernel_v6, lab.link->info().mtu);
  return lab;
}

}  // namespace synfin::link
