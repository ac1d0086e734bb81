// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/pcapng.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "synfin/view/text.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/ip.h"

namespace synfin::view {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a, kInterface = 1, kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kLinkTypeRaw = 101;
constexpr std::uint16_t kEndOfOptions = 0, kComment = 1, kUserApplication = 4, kTimeResolution = 9,
                        kPacketFlags = 2;
constexpr std::size_t kFlushAt = 64 * 1024;

constexpr std::size_t padded(std::size_t n) {
  return (n + 3) & ~std::size_t{3};
}

// Appends in the machine's byte order, which the section header announces.
template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_padded(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.resize(out.size() + padded(bytes.size()) - bytes.size());
}

void put_option(std::vector<std::byte>& out, std::uint16_t code, Bytes value) {
  put(out, code);
  put(out, static_cast<std::uint16_t>(value.size()));
  put_padded(out, value);
}

void put_end_of_options(std::vector<std::byte>& out) {
  put(out, kEndOfOptions);
  put(out, std::uint16_t{0});
}

Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

// A block's total length stands before and behind its body.
class Block {
 public:
  Block(std::vector<std::byte>& out, std::uint32_t type) : out_(out), start_(out.size()) {
    put(out_, type);
    put(out_, std::uint32_t{0});
  }
  ~Block() {
    const auto total = static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
    std::memcpy(out_.data() + start_ + sizeof(std::uint32_t), &total, sizeof total);
    put(out_, total);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  std::vector<std::byte>& out_;
  std::size_t start_;
};

void copy_frame(const wire::Frame& frame, std::vector<std::byte>& out) {
  const Bytes header = frame.header_bytes();
  out.assign(header.begin(), header.end());
  for (std::size_t i = 0; i < frame.slice_count; ++i) {
    const Bytes slice = frame.slices[i].bytes();
    out.insert(out.end(), slice.begin(), slice.end());
  }
}

// Does what the link will do, so that the capture holds no checksum that looks wrong.
void fill_tcp_checksum(std::vector<std::byte>& packet) {
  const auto ip = wire::parse_ip(packet, packet.size());
  if (!ip || ip->header.protocol != wire::protocol::kTcp || ip->payload_size < wire::TcpHeader::kMinSize)
    return;
  const MutableBytes segment = MutableBytes{packet}.subspan(ip->header_size, ip->payload_size);
  constexpr std::size_t kField = 16;
  store_be16(segment.data() + kField, 0);
  wire::ChecksumAccumulator sum;
  sum.add_pseudo_header(ip->header.source, ip->header.destination, wire::protocol::kTcp,
                        static_cast<std::uint32_t>(segment.size()));
  sum.add(segment);
  store_be16(segment.data() + kField, sum.finish());
}

// The last whole code point at or before `size` octets.
std::string_view cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

PcapngWriter::PcapngWriter(std::FILE* file) : file_(file) {
  // Blocks are buffered here, whole; a second buffer would only hide where a write failed.
  std::setvbuf(file, nullptr, _IONBF, 0);
  start_ = std::ftell(file);
  buffer_.reserve(kFlushAt + 4096);
}

std::expected<PcapngWriter, std::error_code> PcapngWriter::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return std::unexpected(std::error_code(errno, std::generic_category()));
  return adopt(file);
}

std::expected<PcapngWriter, std::error_code> PcapngWriter::adopt(std::FILE* file) {
  PcapngWriter writer(file);
  writer.put_header();
  if (const Result r = writer.flush(); !r) return std::unexpected(r.error());
  return writer;
}

PcapngWriter::~PcapngWriter() {
  if (file_) static_cast<void>(close());
}

void PcapngWriter::put_header() {
  {
    Block section(buffer_, kSectionHeader);
    put(buffer_, kByteOrderMagic);
    put(buffer_, std::uint16_t{1});  // major version
    put(buffer_, std::uint16_t{0});  // minor version
    put(buffer_, std::int64_t{-1});  // section length: not known yet
    put_option(buffer_, kUserApplication, as_bytes("synfin"));
    put_end_of_options(buffer_);
  }
  Block interface(buffer_, kInterface);
  put(buffer_, kLinkTypeRaw);
  put(buffer_, std::uint16_t{0});
  put(buffer_, std::uint32_t{0});  // no limit to a packet's length
  const std::byte nanoseconds{9};
  put_option(buffer_, kTimeResolution, {&nanoseconds, 1});
  put_end_of_options(buffer_);
}

PcapngWriter::Result PcapngWriter::write(std::int64_t unix_ns, PacketDirection direction,
                                         const wire::Frame& frame, std::string_view comment) {
  if (error_) return result();
  if (!file_) return fail(EBADF);
  copy_frame(frame, scratch_);
  if (frame.needs_checksum) fill_tcp_checksum(scratch_);
  {
    Block packet(buffer_, kEnhancedPacket);
    const auto time = static_cast<std::uint64_t>(unix_ns);
    const auto size = static_cast<std::uint32_t>(scratch_.size());
    put(buffer_, std::uint32_t{0});  // the interface
    put(buffer_, static_cast<std::uint32_t>(time >> 32));
    put(buffer_, static_cast<std::uint32_t>(time));
    put(buffer_, size);
    put(buffer_, size);
    put_padded(buffer_, scratch_);
    if (!comment.empty()) put_option(buffer_, kComment, as_bytes(cut(comment, 0xffff)));
    const auto flags = std::bit_cast<std::array<std::byte, 4>>(std::uint32_t{std::to_underlying(direction)});
    put_option(buffer_, kPacketFlags, flags);
    put_end_of_options(buffer_);
  }
  return buffer_.size() >= kFlushAt ? flush() : result();
}

PcapngWriter::Result PcapngWriter::flush() {
  if (error_ || !file_ || buffer_.empty()) return result();
  errno = 0;
  if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_.get()) != buffer_.size()) return fail(errno);
  written_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
  return {};
}

PcapngWriter::Result PcapngWriter::close() {
  const Result flushed = flush();
  if (!file_) return flushed;
  errno = 0;
  if (std::fclose(file_.release()) != 0 && !error_) return fail(errno);
  return result();
}

PcapngWriter::Result PcapngWriter::fail(int code) {
  error_ = std::error_code(code == 0 ? EIO : code, std::generic_category());
  buffer_.clear();
  if (file_ && start_ >= 0) {
    // Best effort: where the file cannot be cut, readers stop at the broken block.
    if (ftruncate(fileno(file_.get()), static_cast<off_t>(start_ + written_)) != 0) errno = 0;
  }
  return result();
}

PcapngWriter::Result PcapngWriter::result() const {
  if (error_) return std::unexpected(error_);
  return {};
}

std::string capture_comment(const trace::Event& e) {
  std::string out;
  const bool segment =
      e.kind == trace::EventKind::kSegmentReceived || e.kind == trace::EventKind::kSegmentSent;
  if (segment) {
    out = trace::name(e.from);
    if (e.to != e.from) out += fmt::format(" -> {}", trace::name(e.to));
    if (e.retransmission) out += "; retransmission";
    if (e.to == trace::State::kTimeWait && !e.deadline.is_never()) {
      out += fmt::format("; TIME-WAIT for {} s more", seconds_text(e.deadline - e.at, 3));
    }
  }
  if (e.reason == trace::Reason::kNone) return out;
  if (!out.empty()) out += "; ";
  out += fmt::format("{}: {}", trace::name(e.reason), trace::sentence(e.reason));
  if (const std::string_view section = trace::section(e.reason); !section.empty())
    out += fmt::format(" ({})", section);
  return out;
}

void Capture::on_event(const trace::Event& e) {
  using trace::EventKind;
  if (e.frame == nullptr || writer_.last_error()) return;
  PacketDirection direction = PacketDirection::kUnknown;
  switch (e.kind) {
    case EventKind::kSegmentReceived:
    case EventKind::kPacketReceived:
      direction = PacketDirection::kInbound;
      break;
    case EventKind::kSegmentSent:
    case EventKind::kPacketSent:
      direction = PacketDirection::kOutbound;
      break;
    case EventKind::kStateChanged:
    case EventKind::kTimer:
    case EventKind::kCall:
    case EventKind::kFlood:
      return;
  }
  // An error is kept by the writer and asked for at the end.
  static_cast<void>(writer_.write(e.at.ns() + unix_offset_.ns(), direction, *e.frame, capture_comment(e)));
}

}  // namespace synfin::view
