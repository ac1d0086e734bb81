// SPDX-License-Identifier: Apache-2.0
//
// fcntl and ioctl.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

int Bsd::fcntl(int fd, int command, int argument) {
  Entry* e = slot(fd);
  if (e == nullptr) return failed(EBADF);
  switch (command) {
    case F_GETFL:
      return O_RDWR | (e->non_blocking ? O_NONBLOCK : 0);
    case F_SETFL:
      // "the file access mode … and file creation flags … in arg are ignored"
      e->non_blocking = (argument & O_NONBLOCK) != 0;
      return 0;
    case F_GETFD:
      return e->close_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD:
      e->close_on_exec = (argument & FD_CLOEXEC) != 0;
      return 0;
  }
  return failed(EINVAL);
}

int Bsd::ioctl(int fd, unsigned long request, int* value) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (request != FIONREAD && request != SIOCOUTQ && request != SIOCOUTQNSD && request != SIOCATMARK)
    return failed(EINVAL);
  if (e->phase == Entry::Phase::kListening) return failed(EINVAL);
  if (value == nullptr) return failed(EFAULT);
  *value = 0;
  const auto status = stack_.status(e->handle);
  if (!status || handshaking(*e)) return 0;
  if (request == FIONREAD) *value = static_cast<int>(readable_in_band(*e));
  if (request == SIOCATMARK) *value = urgent_octet(*e) == std::size_t{0} ? 1 : 0;
  if (request == SIOCOUTQ) *value = static_cast<int>(status->send_queue);
  if (request == SIOCOUTQNSD) *value = static_cast<int>(status->not_sent);
  return 0;
}

}  // namespace synfin::tcp
