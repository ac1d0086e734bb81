// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <fmt/format.h>

namespace synfin::app {

std::string built_in_page(const tcp::socket& socket) {
  boost::system::error_code error;
  const stack::Status status = socket.status(error);
  if (error) return "This connection has just ended.\n";
  const std::string round_trip =
      status.smoothed_rtt.us() == 0
          ? ""
          : fmt::format(" A round trip took {:.3f} ms.", status.smoothed_rtt.as_seconds() * 1e3);
  return fmt::format(
      "You have reached Synfin, a TCP/IP stack that lives inside a program.\n"
      "\n"
      "What has just happened between you, {remote}, and this end, {local}:\n"
      "\n"
      "  1. Your SYN asked to open, and said at which number your octets begin.\n"
      "  2. Synfin's SYN-ACK acknowledged that number and announced its own: two messages in one segment.\n"
      "  3. Your ACK proved that you received it. Only now is the connection {state} at this end.\n"
      "  4. Your request came, and this answer is on its way to you.\n"
      "\n"
      "Agreed on the way: segments carry at most {mss} octets.{rtt}\n"
      "Still to come is the close: each end says FIN for its own direction, and each FIN is acknowledged. "
      "Whoever\n"
      "says it first stays in TIME-WAIT afterwards, so that nothing late is mistaken for something new.\n"
      "\n"
      "Draw it while it happens with --ladder; look up any word with `synfin explain`.\n",
      fmt::arg("remote", status.tuple.remote.to_string()), fmt::arg("local", status.tuple.local.to_string()),
      fmt::arg("state", trace::name(status.state)), fmt::arg("mss", status.mss), fmt::arg("rtt", round_trip));
}

}  // namespace synfin::app
