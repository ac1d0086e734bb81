// SPDX-License-Identifier: Apache-2.0
//
// epoll(7). What is ready is asked of the sockets when somebody asks for it; an edge-triggered interest
// remembers what it was told.
#include <algorithm>

#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

namespace {

// These two are told whether asked for or not.
constexpr std::uint32_t kAlways = EPOLLERR | EPOLLHUP;

}  // namespace

Bsd::Epoll* Bsd::find_epoll(int fd) const {
  Entry* e = slot(fd);
  return e == nullptr ? nullptr : e->epoll.get();
}

int Bsd::epoll_create(int size) {
  if (size <= 0) return failed(EINVAL);
  auto entry = std::make_unique<Entry>();
  entry->epoll = std::make_unique<Epoll>();
  return install(std::move(entry));
}

int Bsd::epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (slot(epoll) == nullptr || slot(fd) == nullptr) return failed(EBADF);
  Epoll* set = find_epoll(epoll);
  // One set in another would be possible on Linux; here only sockets can be watched.
  const Entry* watched = find(fd);
  if (set == nullptr || watched == nullptr) return failed(EINVAL);
  if (operation != EPOLL_CTL_DEL && event == nullptr) return failed(EFAULT);
  const auto there =
      std::find_if(set->interests.begin(), set->interests.end(), [&](const auto& i) { return i.fd == fd; });
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (there != set->interests.end()) return failed(EEXIST);
      if ((event->events & EPOLLEXCLUSIVE) != 0) return failed(EINVAL);
      set->interests.push_back({.fd = fd, .entry = watched, .wanted = *event});
      return 0;
    case EPOLL_CTL_MOD:
      if (there == set->interests.end()) return failed(ENOENT);
      if ((event->events & EPOLLEXCLUSIVE) != 0) return failed(EINVAL);
      *there = {.fd = fd, .entry = watched, .wanted = *event};
      return 0;
    case EPOLL_CTL_DEL:
      if (there == set->interests.end()) return failed(ENOENT);
      set->interests.erase(there);
      return 0;
  }
  return failed(EINVAL);
}

int Bsd::epoll_wait(int epoll, epoll_event* events, int most) {
  if (slot(epoll) == nullptr) return failed(EBADF);
  Epoll* set = find_epoll(epoll);
  if (set == nullptr || most <= 0) return failed(EINVAL);
  if (events == nullptr) return failed(EFAULT);
  int count = 0;
  for (Epoll::Interest& interest : set->interests) {
    if (count == most) break;
    Entry* e = find(interest.fd);
    if (e == nullptr || interest.disarmed) continue;
    // The numbers of poll's and of epoll's events are the same on Linux.
    const auto all = static_cast<std::uint32_t>(static_cast<unsigned short>(events_of(*e)));
    const std::uint32_t ready = all & (interest.wanted.events | kAlways);
    const std::uint64_t total = received(*e);
    const bool writable_again = (ready & EPOLLOUT) != 0 && e->refusals != interest.told_refusals;
    const bool news = (ready & ~interest.told) != 0 || total != interest.told_received || writable_again;
    interest.told = ready;
    if (ready == 0 || ((interest.wanted.events & EPOLLET) != 0 && !news)) continue;
    interest.told_received = total;
    interest.told_refusals = e->refusals;
    interest.disarmed = (interest.wanted.events & EPOLLONESHOT) != 0;
    events[count++] = {.events = ready, .data = interest.wanted.data};
  }
  // Whoever was told now is asked last next time, so that a busy socket does not hide the others.
  if (count == most && static_cast<std::size_t>(most) < set->interests.size())
    std::rotate(set->interests.begin(), set->interests.begin() + most, set->interests.end());
  return count;
}

void Bsd::forget_in_epolls(const Entry& closing) {
  for (const auto& entry : entries_) {
    if (entry == nullptr || entry->epoll == nullptr) continue;
    std::erase_if(entry->epoll->interests,
                  [&](const Epoll::Interest& interest) { return interest.entry == &closing; });
  }
}

std::uint64_t Bsd::received(const Entry& e) const {
  return e.read + stack_.readable(e.handle).value_or(0);
}

}  // namespace synfin::tcp
