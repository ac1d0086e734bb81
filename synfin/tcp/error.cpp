// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/error.h"

#include <array>
#include <cerrno>
#include <utility>

namespace synfin::tcp {
namespace {

struct Text {
  std::string_view message;
  int code;
};

constexpr std::array kTexts = {
    Text{"operation would block", EAGAIN},
    Text{"the connection does not exist", EBADF},
    Text{"not connected", ENOTCONN},
    Text{"already connected", EISCONN},
    Text{"the handshake has not ended", EINPROGRESS},
    Text{"this direction has been shut down", EPIPE},
    Text{"connection refused", ECONNREFUSED},
    Text{"connection reset by peer", ECONNRESET},
    Text{"connection aborted", ECONNABORTED},
    Text{"connection timed out", ETIMEDOUT},
    Text{"host unreachable", EHOSTUNREACH},
    Text{"network unreachable", ENETUNREACH},
    Text{"address or port in use", EADDRINUSE},
    Text{"address not available", EADDRNOTAVAIL},
    Text{"no ephemeral port is free", EADDRNOTAVAIL},
    Text{"invalid argument", EINVAL},
    Text{"insufficient resources", ENOBUFS},
    Text{"the stack's packet memory is used up", EAGAIN},
    Text{"the stack has been shut down", ECANCELED},
};
static_assert(kTexts.size() == std::to_underlying(Error::kStackShutdown) + 1);

}  // namespace

std::string_view message(Error e) {
  return kTexts[std::to_underlying(e)].message;
}
int to_errno(Error e) {
  return kTexts[std::to_underlying(e)].code;
}

}  // namespace synfin::tcp
