// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/tcp_options.h"

#include <algorithm>

namespace synfin::wire {
namespace {

namespace kind {
constexpr std::uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                       kTimestamps = 8, kMd5 = 19, kUserTimeout = 28, kAuthentication = 29, kFastOpen = 34,
                       kEcnOctets0 = 172, kEcnOctets1 = 174;
}

constexpr std::size_t kMaxOptions = TcpHeader::kMaxSize - TcpHeader::kMinSize;
constexpr std::size_t kMssLength = 4, kWindowScaleLength = 3, kSackPermittedLength = 2,
                      kTimestampsLength = 10, kMd5Length = 18, kUserTimeoutLength = 4,
                      kAuthenticationMinLength = 4, kFastOpenMinCookie = 4;

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

// "implementations MUST use those whole 3-octet fields that fit within the length and ignore the remainder of
// the option"  (RFC 9768 §3.2.3) Of two options only the first counts.
void read_ecn_octets(const std::byte* option, std::size_t length, TcpOptions& out) {
  if (out.has(TcpOptions::kEcnOctets)) return;
  EcnOctets& e = out.ecn;
  e.reversed = load_u8(option) == kind::kEcnOctets1;
  e.fields = static_cast<std::uint8_t>(std::min<std::size_t>((length - 2) / 3, EcnOctets::kMostFields));
  const auto field = [&](std::size_t n) -> std::uint32_t {
    if (n >= e.fields) return 0;
    const std::byte* at = option + 2 + 3 * n;
    return std::uint32_t{load_u8(at)} << 16 | load_be16(at + 1);
  };
  e.ect0 = field(e.reversed ? 2 : 0);
  e.ce = field(1);
  e.ect1 = field(e.reversed ? 0 : 2);
  out.present |= TcpOptions::kEcnOctets;
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
    case kind::kUserTimeout:
      if (length != kUserTimeoutLength) return false;
      out.user_timeout = load_be16(option + 2);
      out.present |= TcpOptions::kUserTimeout;
      return true;
    case kind::kFastOpen:
      return read_fast_open(option, length, out);
    case kind::kEcnOctets0:
    case kind::kEcnOctets1:
      read_ecn_octets(option, length, out);
      return true;
    default:  // RFC 9293 §3.1, MUST-6: what is unknown is passed over
      return true;
  }
}

std::size_t cookie_octets(const TcpOptions& o) {
  return std::min<std::size_t>(o.cookie_size, TcpOptions::kMaxCookie);
}

// What must be sent; 40 octets at most, with a Fast Open cookie of the largest size.
std::size_t size_of_the_needed(const TcpOptions& o) {
  std::size_t size = 0;
  if (o.has(TcpOptions::kMss)) size += 4;
  if (o.has(TcpOptions::kTimestamps)) size += 12;  // SACK-permitted takes the place of the two NOPs
  if (o.has(TcpOptions::kSackPermitted) && !o.has(TcpOptions::kTimestamps)) size += 4;
  if (o.has(TcpOptions::kWindowScale)) size += 4;
  if (o.has(TcpOptions::kUserTimeout)) size += kUserTimeoutLength;
  if (o.has(TcpOptions::kFastOpen)) size += (2 + cookie_octets(o) + 3) / 4 * 4;
  return size;
}

bool ecn_octets_fit(const TcpOptions& o) {
  return o.has(TcpOptions::kEcnOctets) && size_of_the_needed(o) + o.ecn.padded_size() <= kMaxOptions;
}

std::size_t size_without_sack(const TcpOptions& o) {
  return size_of_the_needed(o) + (ecn_octets_fit(o) ? o.ecn.padded_size() : 0);
}

std::size_t sack_blocks_that_fit(const TcpOptions& o) {
  if (!o.has(TcpOptions::kSack)) return 0;
  const std::size_t free = kMaxOptions - size_without_sack(o);
  if (free < 4 + 8) return 0;
  return std::min({std::size_t{o.sack_count}, TcpOptions::kMaxSack, (free - 4) / 8});
}

constexpr std::uint32_t kTwoNops = std::uint32_t{kind::kNop} << 24 | std::uint32_t{kind::kNop} << 16;

// Two octets at the beginning or at the end of a word.
constexpr std::uint32_t head(std::uint8_t what, std::size_t length) {
  return std::uint32_t{what} << 24 | static_cast<std::uint32_t>(length) << 16;
}
constexpr std::uint32_t tail(std::uint8_t what, std::size_t length) {
  return head(what, length) >> 16;
}

void write_ecn_octets(const EcnOctets& e, HeaderWriter& w) {
  std::array<std::byte, 12> option;
  option.fill(std::byte{kind::kNop});
  store_u8(option.data(), e.reversed ? kind::kEcnOctets1 : kind::kEcnOctets0);
  store_u8(option.data() + 1, static_cast<std::uint8_t>(2 + 3 * e.fields));
  const std::array<std::uint32_t, EcnOctets::kMostFields> values{e.reversed ? e.ect1 : e.ect0, e.ce,
                                                                 e.reversed ? e.ect0 : e.ect1};
  for (std::size_t n = 0; n < e.fields && n < values.size(); ++n) {
    store_u8(option.data() + 2 + 3 * n, static_cast<std::uint8_t>(values[n] >> 16));
    store_be16(option.data() + 3 + 3 * n, static_cast<std::uint16_t>(values[n]));
  }
  for (std::size_t at = 0; at < e.padded_size(); at += 4) w.word(load_be32(option.data() + at));
}

void write_fast_open(const TcpOptions& o, HeaderWriter& w) {
  std::array<std::byte, 20> option;
  option.fill(std::byte{kind::kNop});
  const std::size_t cookie = cookie_octets(o);
  store_u8(option.data(), kind::kFastOpen);
  store_u8(option.data() + 1, static_cast<std::uint8_t>(2 + cookie));
  if (cookie != 0) std::memcpy(option.data() + 2, o.cookie.data(), cookie);
  for (std::size_t at = 0; at < 2 + cookie; at += 4) w.word(load_be32(option.data() + at));
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

Written write_tcp_options(const TcpOptions& o, std::byte* out) {
  HeaderWriter w{out};
  if (o.has(TcpOptions::kMss)) w.word(head(kind::kMss, kMssLength) | o.mss);
  const bool timestamps = o.has(TcpOptions::kTimestamps);
  const bool sack_permitted = o.has(TcpOptions::kSackPermitted);
  constexpr std::uint32_t kTimestampsTail = tail(kind::kTimestamps, kTimestampsLength);
  if (timestamps && sack_permitted) {
    w.word(head(kind::kSackPermitted, kSackPermittedLength) | kTimestampsTail);
  } else if (sack_permitted) {
    w.word(kTwoNops | tail(kind::kSackPermitted, kSackPermittedLength));
  } else if (timestamps) {
    w.word(kTwoNops | kTimestampsTail);
  }
  if (timestamps) {
    w.word(o.timestamps.value);
    w.word(o.timestamps.echo);
  }
  if (o.has(TcpOptions::kWindowScale))
    w.word(head(kind::kNop, kind::kWindowScale) | std::uint32_t{kWindowScaleLength} << 8 | o.window_scale);
  if (const std::size_t blocks = sack_blocks_that_fit(o); blocks != 0) {
    w.word(kTwoNops | tail(kind::kSack, 2 + 8 * blocks));
    for (std::size_t i = 0; i < blocks; ++i) {
      w.word(o.sack[i].left.raw());
      w.word(o.sack[i].right.raw());
    }
  }
  if (o.has(TcpOptions::kUserTimeout)) w.word(head(kind::kUserTimeout, kUserTimeoutLength) | o.user_timeout);
  if (o.has(TcpOptions::kFastOpen)) write_fast_open(o, w);
  if (ecn_octets_fit(o)) write_ecn_octets(o.ecn, w);
  return w.written();
}

bool operator==(const EcnOctets& a, const EcnOctets& b) {
  return a.fields == b.fields && a.reversed == b.reversed && (!a.has_ect0() || a.ect0 == b.ect0) &&
         (!a.has_ce() || a.ce == b.ce) && (!a.has_ect1() || a.ect1 == b.ect1);
}

bool operator==(const TcpOptions& a, const TcpOptions& b) {
  if (a.present != b.present) return false;
  if (a.has(TcpOptions::kMss) && a.mss != b.mss) return false;
  if (a.has(TcpOptions::kWindowScale) && a.window_scale != b.window_scale) return false;
  if (a.has(TcpOptions::kTimestamps) && a.timestamps != b.timestamps) return false;
  if (a.has(TcpOptions::kUserTimeout) && a.user_timeout != b.user_timeout) return false;
  if (a.has(TcpOptions::kEcnOctets) && a.ecn != b.ecn) return false;
  if (a.has(TcpOptions::kSack) &&
      !std::ranges::equal(std::span{a.sack}.first(a.sack_count), std::span{b.sack}.first(b.sack_count))) {
    return false;
  }
  return !a.has(TcpOptions::kFastOpen) || std::ranges::equal(std::span{a.cookie}.first(a.cookie_size),
                                                             std::span{b.cookie}.first(b.cookie_size));
}

}  // namespace synfin::wire
