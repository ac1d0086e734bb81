// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/netdev.h"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "synfin/link/file_descriptor.h"

namespace synfin::link {
namespace {

// One rtnetlink request: a message header, the family's own header, attributes.
class Request {
 public:
  template <typename Body>
  Request(std::uint16_t type, unsigned flags, const Body& body) : bytes_(NLMSG_HDRLEN) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&body, sizeof body);
  }

  void attribute(unsigned type, const void* data, std::size_t size) {
    const rtattr head{static_cast<unsigned short>(RTA_LENGTH(size)), static_cast<unsigned short>(type)};
    append(&head, sizeof head);
    append(data, size);
  }
  void attribute(unsigned type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  void attribute(unsigned type, Bytes bytes) { attribute(type, bytes.data(), bytes.size()); }
  void text(unsigned type, std::string_view value) {
    const std::string terminated{value};
    attribute(type, terminated.c_str(), terminated.size() + 1);
  }
  template <typename Fill>
  void nested(unsigned type, Fill fill) {
    const std::size_t at = bytes_.size();
    attribute(type, nullptr, 0);
    fill();
    const auto size = static_cast<unsigned short>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at + offsetof(rtattr, rta_len), &size, sizeof size);
  }
  template <typename Body>
  void append_body(const Body& body) {
    append(&body, sizeof body);
  }

  /// Waits for the kernel's answer, which comes at once.
  NetdevResult execute(const std::string& what);
  /// The same, for requests that are answered with a message; the message.
  std::expected<std::vector<std::byte>, LinkError> ask(const std::string& what);

 private:
  void append(const void* data, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    if (size != 0) std::memcpy(bytes_.data() + at, data, size);
  }

  nlmsghdr header_{};
  std::vector<std::byte> bytes_;
};

// The sentence that newer kernels add to an error; empty where there is none.
std::string explanation_in(Bytes answer) {
  nlmsghdr header;
  std::memcpy(&header, answer.data(), sizeof header);
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t at = NLMSG_HDRLEN + sizeof(nlmsgerr);
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) {
    nlmsgerr error;
    std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
    at += NLMSG_ALIGN(error.msg.nlmsg_len) - NLMSG_HDRLEN;
  }
  while (at + sizeof(nlattr) <= answer.size()) {
    nlattr attribute;
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > answer.size() - at) break;
    if (attribute.nla_type == NLMSGERR_ATTR_MSG) {
      const Bytes text = answer.subspan(at + sizeof attribute, attribute.nla_len - sizeof attribute);
      std::string words(text.size(), '\0');
      std::memcpy(words.data(), text.data(), text.size());
      words.resize(words.find_last_not_of('\0') + 1);
      return words;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return {};
}

NetdevResult Request::execute(const std::string& what) {
  auto answer = ask(what);
  if (!answer) return std::unexpected{std::move(answer.error())};
  return {};
}

std::expected<std::vector<std::byte>, LinkError> Request::ask(const std::string& what) {
  const FileDescriptor socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (!socket) return std::unexpected{system_error(what, errno)};
  const int on = 1;
  // Only for better words; older kernels do without.
  (void)::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);

  header_.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data(), &header_, sizeof header_);
  if (::send(socket.get(), bytes_.data(), bytes_.size(), 0) < 0) {
    return std::unexpected{system_error(what, errno)};
  }
  std::vector<std::byte> answer(4096);
  ssize_t size = 0;
  do {
    size = ::recv(socket.get(), answer.data(), answer.size(), 0);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return std::unexpected{system_error(what, errno)};
  answer.resize(static_cast<std::size_t>(size));
  nlmsghdr header;
  nlmsgerr error;
  if (answer.size() < NLMSG_HDRLEN + sizeof(rtmsg)) {
    return std::unexpected{LinkError{what + ": the kernel's answer makes no sense", EPROTO}};
  }
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != NLMSG_ERROR) return answer;
  if (answer.size() < NLMSG_HDRLEN + sizeof error) {
    return std::unexpected{LinkError{what + ": the kernel's answer makes no sense", EPROTO}};
  }
  std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
  if (error.error == 0) return answer;
  LinkError failure = system_error(what, -error.error);
  const std::string words = explanation_in(answer);
  if (!words.empty()) failure.message += fmt::format(" ({})", words);
  return std::unexpected{std::move(failure)};
}

std::expected<ifinfomsg, LinkError> link_message(std::string_view name) {
  const auto index = device_index(name);
  if (!index) return std::unexpected{index.error()};
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = static_cast<int>(*index);
  return body;
}

NetdevResult change_up(std::string_view name, bool up) {
  auto body = link_message(name);
  if (!body) return std::unexpected{std::move(body.error())};
  body->ifi_change = IFF_UP;
  body->ifi_flags = up ? IFF_UP : 0;
  return Request{RTM_NEWLINK, 0, *body}.execute(
      fmt::format("cannot bring device {} {}", name, up ? "up" : "down"));
}

std::uint8_t family_of(const wire::IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

}  // namespace

LinkError system_error(std::string_view what, int code) {
  return {fmt::format("{}: {}", what, std::generic_category().message(code)), code};
}

std::expected<unsigned, LinkError> device_index(std::string_view name) {
  const unsigned index = ::if_nametoindex(std::string{name}.c_str());
  if (index == 0) return std::unexpected{LinkError{fmt::format("no network device {}", name), ENODEV}};
  return index;
}

std::expected<std::uint32_t, LinkError> device_mtu(std::string_view name) {
  const std::string what = fmt::format("cannot read the MTU of device {}", name);
  const FileDescriptor socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket) return std::unexpected{system_error(what, errno)};
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(socket.get(), SIOCGIFMTU, &request) < 0) return std::unexpected{system_error(what, errno)};
  return static_cast<std::uint32_t>(request.ifr_mtu);
}

NetdevResult set_up(std::string_view name) {
  return change_up(name, true);
}
NetdevResult set_down(std::string_view name) {
  return change_up(name, false);
}

NetdevResult set_mtu(std::string_view name, std::uint32_t mtu) {
  const auto body = link_message(name);
  if (!body) return std::unexpected{body.error()};
  Request request{RTM_NEWLINK, 0, *body};
  request.attribute(IFLA_MTU, mtu);
  return request.execute(fmt::format("cannot set the MTU of device {} to {}", name, mtu));
}

NetdevResult add_address(std::string_view name, const wire::Prefix& address) {
  const auto index = device_index(name);
  if (!index) return std::unexpected{index.error()};
  ifaddrmsg body{};
  body.ifa_family = family_of(address.address);
  body.ifa_prefixlen = address.length;
  body.ifa_index = *index;
  Request request{RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body};
  request.attribute(IFA_LOCAL, address.address.wire_octets());
  request.attribute(IFA_ADDRESS, address.address.wire_octets());
  if (!address.address.is_v4()) request.attribute(IFA_FLAGS, std::uint32_t{IFA_F_NODAD});
  return request.execute(fmt::format("cannot give device {} the address {}", name, address.to_string()));
}

NetdevResult wait_until_local(const wire::IpAddress& address) {
  constexpr int kTriesMs = 2000;
  const std::string what = fmt::format("cannot tell where {} leads", address.to_string());
  for (int tried = 0; tried < kTriesMs; ++tried) {
    rtmsg body{};
    body.rtm_family = family_of(address);
    body.rtm_dst_len = static_cast<unsigned char>(address.wire_octets().size() * 8);
    Request request{RTM_GETROUTE, 0, body};
    request.attribute(RTA_DST, address.wire_octets());
    // An error means that there is no route at all yet.
    if (const auto answer = request.ask(what)) {
      std::memcpy(&body, answer->data() + NLMSG_HDRLEN, sizeof body);
      if (body.rtm_type == RTN_LOCAL) return {};
    }
    // The kernel sends a notice too, but not where the route is there already.
    (void)::poll(nullptr, 0, 1);
  }
  return std::unexpected{LinkError{
      fmt::format("the kernel has not taken up the address {}: is its device up?", address.to_string()),
      ETIMEDOUT}};
}

NetdevResult add_route(const wire::Prefix& destination, std::string_view name,
                       const std::optional<wire::IpAddress>& gateway) {
  const auto index = device_index(name);
  if (!index) return std::unexpected{index.error()};
  rtmsg body{};
  body.rtm_family = family_of(destination.address);
  body.rtm_dst_len = destination.length;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  body.rtm_type = RTN_UNICAST;
  Request request{RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body};
  request.attribute(RTA_DST, destination.address.wire_octets());
  request.attribute(RTA_OIF, *index);
  if (gateway) request.attribute(RTA_GATEWAY, gateway->wire_octets());
  return request.execute(
      fmt::format("cannot add a route to {} through device {}", destination.to_string(), name));
}

NetdevResult set_no_link_local(std::string_view name) {
  const auto body = link_message(name);
  if (!body) return std::unexpected{body.error()};
  Request request{RTM_NEWLINK, 0, *body};
  request.nested(IFLA_AF_SPEC, [&] {
    request.nested(AF_INET6, [&] {
      const std::uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
      request.attribute(IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
    });
  });
  return request.execute(fmt::format("cannot turn off link-local addresses on device {}", name));
}

NetdevResult add_veth(std::string_view name, std::string_view peer) {
  Request request{RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{}};
  request.text(IFLA_IFNAME, name);
  request.nested(IFLA_LINKINFO, [&] {
    request.text(IFLA_INFO_KIND, "veth");
    request.nested(IFLA_INFO_DATA, [&] {
      request.nested(VETH_INFO_PEER, [&] {
        request.append_body(ifinfomsg{});
        request.text(IFLA_IFNAME, peer);
      });
    });
  });
  return request.execute(fmt::format("cannot make the veth pair {} and {}", name, peer));
}

NetdevResult move_to_namespace(std::string_view name, pid_t pid) {
  const auto body = link_message(name);
  if (!body) return std::unexpected{body.error()};
  Request request{RTM_NEWLINK, 0, *body};
  request.attribute(IFLA_NET_NS_PID, static_cast<std::uint32_t>(pid));
  return request.execute(fmt::format("cannot move device {} to the namespace of process {}", name, pid));
}

NetdevResult remove_device(std::string_view name) {
  const auto body = link_message(name);
  if (!body) return std::unexpected{body.error()};
  return Request{RTM_DELLINK, 0, *body}.execute(fmt::format("cannot remove device {}", name));
}

}  // namespace synfin::link
