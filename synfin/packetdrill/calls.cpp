// SPDX-License-Identifier: Apache-2.0
//
// The functions that the tool calls, and what it looks up by name.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "synfin/packetdrill/interface.h"
#include "synfin/packetdrill/object.h"

namespace synfin::packetdrill {

namespace {

// The world of the script that is running, for `getsockopt` below.
std::atomic<Object*> current{nullptr};

Object& object(void* userdata) {
  return *static_cast<Object*>(userdata);
}

iovec part_of(const void* data, std::size_t size) {
  return {const_cast<void*>(data), size};
}

// Reading.

ssize_t recv(void* u, int fd, void* into, std::size_t size, int flags) {
  const iovec part = part_of(into, size);
  return object(u).read(fd, &part, 1, flags);
}
ssize_t read(void* u, int fd, void* into, std::size_t size) {
  return recv(u, fd, into, size, 0);
}
ssize_t readv(void* u, int fd, const iovec* parts, int count) {
  return object(u).read(fd, parts, count, 0);
}
ssize_t recvfrom(void* u, int fd, void* into, std::size_t size, int flags, sockaddr*, socklen_t* from_size) {
  // A stream's peer is not told again.
  if (from_size != nullptr) *from_size = 0;
  return recv(u, fd, into, size, flags);
}
ssize_t recvmsg(void* u, int fd, msghdr* message, int flags) {
  return object(u).recvmsg(fd, message, flags);
}

// Writing.

ssize_t sendto(void* u, int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
               socklen_t address_size) {
  const iovec part = part_of(data, size);
  return object(u).write(fd, &part, 1, flags, address, address_size);
}
ssize_t send(void* u, int fd, const void* data, std::size_t size, int flags) {
  return sendto(u, fd, data, size, flags, nullptr, 0);
}
ssize_t write(void* u, int fd, const void* data, std::size_t size) {
  return send(u, fd, data, size, 0);
}
ssize_t writev(void* u, int fd, const iovec* parts, int count) {
  return object(u).write(fd, parts, count, 0, nullptr, 0);
}
ssize_t sendmsg(void* u, int fd, const msghdr* message, int flags) {
  return object(u).sendmsg(fd, message, flags);
}

// With a third argument that is left out where the command needs none.

int fcntl(void* u, int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  const int argument = va_arg(rest, int);
  va_end(rest);
  return object(u).at_once([&](tcp::Bsd& s) { return s.fcntl(fd, command, argument); });
}
int ioctl(void* u, int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  int* value = va_arg(rest, int*);
  va_end(rest);
  return object(u).at_once([&](tcp::Bsd& s) { return s.ioctl(fd, request, value); });
}

// There are no pipes here, so there is nothing to splice.
int no_pipe(void*, int*) {
  errno = ENOSYS;
  return -1;
}
ssize_t no_splice(void*, int, loff_t*, int, loff_t*, std::size_t, unsigned) {
  errno = ENOSYS;
  return -1;
}

void release(void* u) {
  current.store(nullptr);
  delete &object(u);
}

void fill_socket_calls(packetdrill_interface& i) {
  i.socket = [](void* u, int domain, int type, int protocol) {
    return object(u).socket(domain, type, protocol);
  };
  i.bind = [](void* u, int fd, const sockaddr* a, socklen_t n) { return object(u).bind(fd, a, n); };
  i.listen = [](void* u, int fd, int backlog) {
    return object(u).at_once([&](tcp::Bsd& s) { return s.listen(fd, backlog); });
  };
  i.accept = [](void* u, int fd, sockaddr* a, socklen_t* n) { return object(u).accept(fd, a, n); };
  i.connect = [](void* u, int fd, const sockaddr* a, socklen_t n) { return object(u).connect(fd, a, n); };
  i.close = [](void* u, int fd) { return object(u).close(fd); };
  i.shutdown = [](void* u, int fd, int how) {
    return object(u).at_once([&](tcp::Bsd& s) { return s.shutdown(fd, how); });
  };
  i.getsockopt = [](void* u, int fd, int level, int name, void* value, socklen_t* size) {
    return object(u).at_once([&](tcp::Bsd& s) { return s.getsockopt(fd, level, name, value, size); });
  };
  i.setsockopt = [](void* u, int fd, int level, int name, const void* value, socklen_t size) {
    return object(u).at_once([&](tcp::Bsd& s) { return s.setsockopt(fd, level, name, value, size); });
  };
  i.fcntl = fcntl;
  i.ioctl = ioctl;
}

void fill_data_calls(packetdrill_interface& i) {
  i.read = read;
  i.readv = readv;
  i.recv = recv;
  i.recvfrom = recvfrom;
  i.recvmsg = recvmsg;
  i.write = write;
  i.writev = writev;
  i.send = send;
  i.sendto = sendto;
  i.sendmsg = sendmsg;
  i.pipe = no_pipe;
  i.splice = no_splice;
}

void fill_waiting_calls(packetdrill_interface& i) {
  i.poll = [](void* u, pollfd* fds, nfds_t count, int timeout) {
    return object(u).poll(fds, count, timeout);
  };
  i.epoll_create = [](void* u, int size) { return object(u).epoll_create(size); };
  i.epoll_ctl = [](void* u, int epoll, int operation, int fd, epoll_event* event) {
    return object(u).at_once([&](tcp::Bsd& s) { return s.epoll_ctl(epoll, operation, fd, event); });
  };
  i.epoll_wait = [](void* u, int epoll, epoll_event* events, int most, int timeout) {
    return object(u).epoll_wait(epoll, events, most, timeout);
  };
}

void fill_world(packetdrill_interface& i) {
  i.free = release;
  i.netdev_send = [](void* u, const void* packet, std::size_t size) {
    return object(u).netdev_send(packet, size);
  };
  i.netdev_receive = [](void* u, void* packet, std::size_t* size, long long* usecs) {
    return object(u).netdev_receive(packet, size, usecs);
  };
  i.usleep = [](void* u, useconds_t usecs) {
    object(u).usleep(usecs);
    return 0;
  };
  i.gettimeofday = [](void* u, timeval* time, struct timezone*) {
    *time = object(u).time();
    return 0;
  };
}

}  // namespace

}  // namespace synfin::packetdrill

void packetdrill_interface_init(const char* flags, packetdrill_interface* interface) {
  using namespace synfin::packetdrill;
  const auto parsed = parse_flags(flags == nullptr ? "" : flags);
  if (!parsed) {
    // The tool takes no answer from here.
    std::fprintf(stderr, "libsynfin-packetdrill: --so_flags: %s\n", parsed.error().c_str());
    std::exit(EXIT_FAILURE);
  }
  auto* made = new Object(*parsed);
  current.store(made);
  *interface = {};
  interface->userdata = made;
  fill_world(*interface);
  fill_socket_calls(*interface);
  fill_data_calls(*interface);
  fill_waiting_calls(*interface);
}

// The tool asks the system, not the object, for the TCP_INFO that a script's `%{ … }%` reads. Where this
// object is also in LD_PRELOAD, that question comes here; all others go on to the system.
extern "C" [[gnu::visibility("default")]] int getsockopt(int fd, int level, int name, void* value,
                                                         socklen_t* size) {
  using namespace synfin::packetdrill;
  Object* world = current.load();
  if (world == nullptr || !world->owns(fd))
    return static_cast<int>(::syscall(SYS_getsockopt, fd, level, name, value, size));
  return world->at_once([&](synfin::tcp::Bsd& s) { return s.getsockopt(fd, level, name, value, size); });
}
