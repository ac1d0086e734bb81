// SPDX-License-Identifier: Apache-2.0
//
// Urgent data as the calls of old programs see it: the last octet before the urgent pointer, "out of band"
// and missing from the stream, or in its place with SO_OOBINLINE. The stack itself keeps it in the stream
// (RFC 6093 §3.4). Read first: socket(7), tcp(7).
#include <algorithm>
#include <array>
#include <vector>

#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

// How far behind the next octet the urgent one lies, if there is one; it may not have arrived.
std::optional<std::size_t> Bsd::urgent_octet(const Entry& e) const {
  const auto status = stack_.status(e.handle);
  if (!status || status->urgent == 0) return std::nullopt;
  return status->urgent - 1;
}

bool Bsd::urgent_waits(const Entry& e) const {
  const auto place = urgent_octet(e);
  return place && e.urgent_taken != e.read + *place && stack_.readable(e.handle).value_or(0) > *place;
}

std::size_t Bsd::readable_in_band(const Entry& e) const {
  const std::size_t readable = stack_.readable(e.handle).value_or(0);
  const auto place = urgent_octet(e);
  if (!place || e.urgent_inline || *place >= readable) return readable;
  return *place > 0 ? *place : readable - 1;
}

// Reading stops ahead of the octet, so that a program can ask whether it is there (SIOCATMARK), and goes on
// behind it.
std::expected<std::size_t, Error> Bsd::read_in_band(Entry& e, std::span<const MutableBytes> parts,
                                                    bool peek) {
  const auto read = [&](std::span<const MutableBytes> into) {
    auto got = peek ? stack_.peek(e.handle, into) : stack_.receive(e.handle, into, now());
    if (got && !peek) e.read += *got;
    return got;
  };
  const auto place = urgent_octet(e);
  if (!place || (*place == 0 && e.urgent_inline)) return read(parts);
  std::vector<MutableBytes> into;
  if (*place > 0) {
    std::size_t left = *place;
    for (const MutableBytes& part : parts) {
      into.push_back(part.first(std::min(part.size(), left)));
      left -= into.back().size();
    }
    return read(into);
  }
  // With nothing behind it, it is left for MSG_OOB.
  std::array<std::byte, 1> urgent{};
  if (stack_.readable(e.handle).value_or(0) == 1) {
    if (e.urgent_taken != e.read || peek) return std::unexpected(Error::kWouldBlock);
    (void)read(std::array{MutableBytes{urgent}});
    return read(parts);
  }
  into.push_back(urgent);
  into.insert(into.end(), parts.begin(), parts.end());
  const auto got = read(into);
  if (!got || *got > 1) return got ? std::expected<std::size_t, Error>{*got - 1} : got;
  return std::unexpected(Error::kWouldBlock);
}

// One octet, once. EINVAL: there is none, or it is in the stream; EAGAIN: it is on its way.
ssize_t Bsd::read_urgent(Entry& e, std::span<const MutableBytes> parts, bool peek) {
  const auto place = urgent_octet(e);
  if (!place || e.urgent_inline || e.urgent_taken == e.read + *place) {
    errno = EINVAL;
    return -1;
  }
  std::vector<std::byte> ahead(*place + 1);
  const MutableBytes whole{ahead};
  const auto got = stack_.peek(e.handle, std::span{&whole, 1});
  if (!got || *got < ahead.size()) {
    errno = EAGAIN;
    return -1;
  }
  if (parts.empty()) return 0;
  parts.front().front() = ahead.back();
  if (!peek) e.urgent_taken = e.read + *place;
  return 1;
}

}  // namespace synfin::tcp
