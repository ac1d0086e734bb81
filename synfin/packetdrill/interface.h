// SPDX-License-Identifier: Apache-2.0
//
// What the public tool `packetdrill` asks of a shared object that brings a TCP of its own: written from the
// description of that interface, without its code.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

extern "C" {

/// The tool passes it empty and the object fills it. Every call gets `userdata` first and has the meaning,
/// result and errno of the call of the same name; `netdev_send`, `netdev_receive`, `usleep`, `gettimeofday`
/// and `free` are always called, the others where a script names them.
struct packetdrill_interface {
  void* userdata;
  /// The script has ended; the last call.
  void (*free)(void*);

  int (*socket)(void*, int domain, int type, int protocol);
  int (*bind)(void*, int fd, const sockaddr* address, socklen_t size);
  int (*listen)(void*, int fd, int backlog);
  int (*accept)(void*, int fd, sockaddr* address, socklen_t* size);
  int (*connect)(void*, int fd, const sockaddr* address, socklen_t size);

  ssize_t (*read)(void*, int fd, void* into, std::size_t size);
  ssize_t (*readv)(void*, int fd, const iovec* parts, int count);
  ssize_t (*recv)(void*, int fd, void* into, std::size_t size, int flags);
  ssize_t (*recvfrom)(void*, int fd, void* into, std::size_t size, int flags, sockaddr* address,
                      socklen_t* address_size);
  ssize_t (*recvmsg)(void*, int fd, msghdr* message, int flags);
  ssize_t (*write)(void*, int fd, const void* data, std::size_t size);
  ssize_t (*writev)(void*, int fd, const iovec* parts, int count);
  ssize_t (*send)(void*, int fd, const void* data, std::size_t size, int flags);
  ssize_t (*sendto)(void*, int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
                    socklen_t address_size);
  ssize_t (*sendmsg)(void*, int fd, const msghdr* message, int flags);

  int (*fcntl)(void*, int fd, int command, ...);
  int (*ioctl)(void*, int fd, unsigned long request, ...);
  int (*close)(void*, int fd);
  int (*shutdown)(void*, int fd, int how);
  int (*getsockopt)(void*, int fd, int level, int name, void* value, socklen_t* size);
  int (*setsockopt)(void*, int fd, int level, int name, const void* value, socklen_t size);
  int (*poll)(void*, pollfd* fds, nfds_t count, int timeout);

  /// A packet from the network, from its IP header on, that the script injects. 0, or -1.
  int (*netdev_send)(void*, const void* packet, std::size_t size);
  /// The next packet that left, oldest first. `size`: the room at `packet`, then the packet's octets, 0 where
  /// nothing will ever be sent. `usecs`: when, on the clock of `gettimeofday`.
  int (*netdev_receive)(void*, void* packet, std::size_t* size, long long* usecs);

  int (*usleep)(void*, useconds_t usecs);
  int (*gettimeofday)(void*, timeval* time, struct timezone* zone);

  int (*epoll_create)(void*, int size);
  int (*epoll_ctl)(void*, int epoll, int operation, int fd, epoll_event* event);
  int (*epoll_wait)(void*, int epoll, epoll_event* events, int most, int timeout);
  int (*pipe)(void*, int ends[2]);
  ssize_t (*splice)(void*, int in, loff_t* in_offset, int out, loff_t* out_offset, std::size_t size,
                    unsigned flags);
};

/// What the tool looks up by name. `flags`: the text behind `--so_flags=`, or null.
[[gnu::visibility("default")]] void packetdrill_interface_init(const char* flags,
                                                               packetdrill_interface* interface);

}  // extern "C"
