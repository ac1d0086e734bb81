// SPDX-License-Identifier: Apache-2.0
#include "failure.h"

#include <fmt/format.h>

#include <boost/asio/error.hpp>
#include <cstdio>

namespace synfin::app {
namespace {

using trace::Reason;

/// What a socket's error says about the connection, where nobody has heard the reason itself.
Reason usual_reason(const boost::system::error_code& code) {
  namespace error = boost::asio::error;
  if (code == error::connection_refused) return Reason::kConnectionRefused;
  if (code == error::connection_reset) return Reason::kReset;
  return Reason::kNone;
}

/// Words of our own where the system's are not for people.
std::string words(const boost::system::error_code& code) {
  namespace error = boost::asio::error;
  if (code == error::connection_refused) return "connection refused, nobody listens there";
  if (code == error::connection_reset) return "connection reset by the peer";
  if (code == error::timed_out) return "timed out, the peer does not answer";
  if (code == error::network_unreachable) return "no route or no own address for this family; see --address";
  if (code == error::network_down) return "the device is gone";
  if (code == error::address_in_use) return "the port is in use; choose another one";
  return code.message();
}

}  // namespace

std::string failure_line(std::string_view what, const boost::system::error_code& why, Reason reason) {
  if (reason == Reason::kNone) reason = usual_reason(why);
  if (reason == Reason::kNone) return fmt::format("{}: {}", what, words(why));
  if (trace::section(reason).empty())
    return fmt::format("{}: {} ({})", what, words(why), trace::name(reason));
  return fmt::format("{}: {} ({}; {})", what, words(why), trace::name(reason), trace::section(reason));
}

std::string no_ports_line(std::string_view what, const stack::PortUse& use) {
  std::string holders = fmt::format("{} in TIME-WAIT, {} connected", use.time_wait, use.connections);
  if (use.half_open > 0) holders += fmt::format(", {} half-open", use.half_open);
  return fmt::format(
      "{}: no ephemeral port is free: all {} of {}-{} towards this peer are taken, {}; wait or widen "
      "ip_local_port_first/last (RFC 6056)",
      what, use.last - use.first + 1, use.first, use.last, holders);
}

void wrong_use(std::string_view what, std::string_view why) {
  throw Failure{kWrongUse, fmt::format("{}: {}", what, why)};
}

void network_failure(std::string_view what, std::string_view why) {
  throw Failure{kNetworkFailure, fmt::format("{}: {}", what, why)};
}

void network_failure(std::string_view what, const boost::system::error_code& why, Reason reason) {
  throw Failure{kNetworkFailure, failure_line(what, why, reason)};
}

void complain(std::string_view line) {
  fmt::print(stderr, "synfin: {}\n", line);
  std::fflush(stderr);
}

}  // namespace synfin::app
