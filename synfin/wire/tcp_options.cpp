// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/tcp_options.h"

#include <algorithm>

namespace synfin::wire {
namespace {

namespace kind {
constexpr std::uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                       kTimestamps = 8, kMd5 = 19, kAuthentication = 29, kFastOpen = 34;
}

constexpr std::size_t kMaxOptions = TcpHeader::kMaxSize - TcpHeader::kMinSize;
constexpr std::size_t kMssLength = 4, kWindowScaleLength = 3, kSackPermittedLength = 2,
                      kTimestampsLength = 10, kMd5Length = 18, kAuthenticationMinLength = 4,
                      kFastOpenMinCookie = 4;

bool read_sack(const std::byte* option, std::size_t length, TcpOptions& out) {
  const std::size_t blocks = (length - 2) / 8;
  if (length != 2 + 8 * blocks || blocks < 1 || blocks > TcpOptions::kMaxSack) return false;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::byte* block = option + 2 + 8 * i;
    out.sack[i] = {SeqNum{load_be32(block)}, SeqNum{load_be32(block + 4)}};
  }
  out.sack_count = static_cast<std::uint8_t>(blocks);
  out.present |= TcpOptions::kSack;
  return true;
}

// RFC 7413 §4.1.1: a cookie has 4 to 16 octets, an even number of them; none at all asks for one.
bool read_fast_open(const std::byte* option, std::size_t length, TcpOptions& out) {
  const std::size_t size = length - 2;
  if (size % 2 != 0 || size > TcpOptions::kMaxCookie || (size != 0 && size < kFastOpenMinCookie))
    return false;
  if (size != 0) std::memcpy(out.cookie.data(), option + 2, size);
  out.cookie_size = static_cast<std::uint8_t>(size);
  out.present |= TcpOptions::kFastOpen;
  return true;
}

// False when a kind known here has a length that it cannot have. `length` is at least 2 and inside the
// header.
bool read_option(const std::byte* option, std::size_t length, TcpOptions& out) {
  switch (load_u8(option)) {
    case kind::kMss:
      if (length != kMssLength) return false;
      out.mss = load_be16(option + 2);
      out.present |= TcpOptions::kMss;
      return true;
    case kind::kWindowScale:
      if (length != kWindowScaleLength) return false;
      out.window_scale = load_u8(option + 2);
      out.present |= TcpOptions::kWindowScale;
      return true;
    case kind::kSackPermitted:
      if (length != kSackPermittedLength) return false;
      out.present |= TcpOptions::kSackPermitted;
      return true;
    case kind::kSack:
      return read_sack(option, length, out);
    case kind::kTimestamps:
      if (length != kTimestampsLength) return false;
      out.timestamps = {.value = load_be32(option + 2), .echo = load_be32(option + 6)};
      out.present |= TcpOptions::kTimestamps;
      return true;
    case kind::kMd5:
      if (length != kMd5Length) return false;
      out.present |= TcpOptions::kMd5;
      return true;
    case kind::kAuthentication:
      if (length < kAuthenticationMinLength) return false;
      out.present |= TcpOptions::kAuthentication;
      return true;
    case kind::kFastOpen:
      return read_fast_open(option, length, out);
    default:  // RFC 9293 §3.1, MUST-6: ignore what is not implemented
      return true;
  }
}

std::size_t cookie_octets(const TcpOptions& o) {
  return std::min<std::size_t>(o.cookie_size, TcpOptions::kMaxCookie);
}

// What must be sent; 40 octets at most, with a Fast Open cookie of the largest size.
std::size_t size_without_sack(const TcpOptions& o) {
  std::size_t size = 0;
  if (o.has(TcpOptions::kMss)) size += 4;
  if (o.has(TcpOptions::kTimestamps)) size += 12;  // SACK-permitted takes the place of the two NOPs
  if (o.has(TcpOptions::kSackPermitted) && !o.has(TcpOptions::kTimestamps)) size += 4;
  if (o.has(TcpOptions::kWindowScale)) size += 4;
  if (o.has(TcpOptions::kFastOpen)) size += (2 + cookie_octets(o) + 3) / 4 * 4;
  return size;
}

std::size_t sack_blocks_that_fit(const TcpOptions& o) {
  if (!o.has(TcpOptions::kSack)) return 0;
  const std::size_t free = kMaxOptions - size_without_sack(o);
  if (free < 4 + 8) return 0;
  return std::min({std::size_t{o.sack_count}, TcpOptions::kMaxSack, (free - 4) / 8});
}

class Writer {
 public:
  explicit Writer(std::byte* out) : begin_(out), at_(out) {}
  void u8(std::uint8_t v) { store_u8(at_++, v); }
  void u8(std::uint8_t a, std::uint8_t b) {
    u8(a);
    u8(b);
  }
  void u16(std::uint16_t v) {
    store_be16(at_, v);
    at_ += 2;
  }
  void u32(std::uint32_t v) {
    store_be32(at_, v);
    at_ += 4;
  }
  void octets(const std::byte* from, std::size_t count) {
    if (count != 0) std::memcpy(at_, from, count);
    at_ += count;
  }
  std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }

 private:
  std::byte* begin_;
  std::byte* at_;
};

void emit_fast_open(const TcpOptions& o, Writer& w) {
  const std::size_t cookie = cookie_octets(o);
  w.u8(kind::kFastOpen, static_cast<std::uint8_t>(2 + cookie));
  w.octets(o.cookie.data(), cookie);
  while (w.size() % 4 != 0) w.u8(kind::kNop);
}

}  // namespace

std::expected<void, ParseError> parse_tcp_options(Bytes bytes, TcpOptions& options) {
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  while (left != 0) {
    const std::uint8_t what = load_u8(p);
    if (what == kind::kEnd) break;
    if (what == kind::kNop) {
      ++p;
      --left;
      continue;
    }
    if (left < 2) return std::unexpected(ParseError::kTcpOptionLength);
    const std::size_t length = load_u8(p + 1);
    if (length < 2 || length > left) return std::unexpected(ParseError::kTcpOptionLength);
    if (!read_option(p, length, options)) return std::unexpected(ParseError::kTcpOptionMalformed);
    p += length;
    left -= length;
  }
  return {};
}

std::size_t emitted_options_size(const TcpOptions& options) {
  const std::size_t blocks = sack_blocks_that_fit(options);
  return size_without_sack(options) + (blocks == 0 ? 0 : 4 + 8 * blocks);
}

std::size_t emit_tcp_options(const TcpOptions& o, std::byte* out) {
  Writer w{out};
  if (o.has(TcpOptions::kMss)) {
    w.u8(kind::kMss, kMssLength);
    w.u16(o.mss);
  }
  const bool timestamps = o.has(TcpOptions::kTimestamps);
  const bool sack_permitted = o.has(TcpOptions::kSackPermitted);
  if (timestamps != sack_permitted) w.u8(kind::kNop, kind::kNop);
  if (sack_permitted) w.u8(kind::kSackPermitted, kSackPermittedLength);
  if (timestamps) {
    w.u8(kind::kTimestamps, kTimestampsLength);
    w.u32(o.timestamps.value);
    w.u32(o.timestamps.echo);
  }
  if (o.has(TcpOptions::kWindowScale)) {
    w.u8(kind::kNop);
    w.u8(kind::kWindowScale, kWindowScaleLength);
    w.u8(o.window_scale);
  }
  if (const std::size_t blocks = o.has(TcpOptions::kSack) ? sack_blocks_that_fit(o) : 0; blocks != 0) {
    w.u8(kind::kNop, kind::kNop);
    w.u8(kind::kSack, static_cast<std::uint8_t>(2 + 8 * blocks));
    for (std::size_t i = 0; i < blocks; ++i) {
      w.u32(o.sack[i].left.raw());
      w.u32(o.sack[i].right.raw());
    }
  }
  if (o.has(TcpOptions::kFastOpen)) emit_fast_open(o, w);
  return w.size();
}

bool operator==(const TcpOptions& a, const TcpOptions& b) {
  if (a.present != b.present) return false;
  if (a.has(TcpOptions::kMss) && a.mss != b.mss) return false;
  if (a.has(TcpOptions::kWindowScale) && a.window_scale != b.window_scale) return false;
  if (a.has(TcpOptions::kTimestamps) && a.timestamps != b.timestamps) return false;
  if (a.has(TcpOptions::kSack) &&
      !std::ranges::equal(std::span{a.sack}.first(a.sack_count), std::span{b.sack}.first(b.sack_count))) {
    return false;
  }
  return !a.has(TcpOptions::kFastOpen) || std::ranges::equal(std::span{a.cookie}.first(a.cookie_size),
                                                             std::span{b.cookie}.first(b.cookie_size));
}

}  // namespace synfin::wire
