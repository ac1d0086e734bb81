// SPDX-License-Identifier: Apache-2.0
//
// Captures that Wireshark, tshark and libpcap read, with a comment a packet that says what became of it
// (pcapng, draft-ietf-opsawg-pcapng).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "synfin/base/time.h"
#include "synfin/trace/event.h"
#include "synfin/wire/frame.h"

namespace synfin::view {

enum class PacketDirection : std::uint8_t {
  kUnknown = 0,
  kInbound = 1,
  kOutbound = 2
};

/// Writes one section with one interface of raw IP packets (LINKTYPE_RAW), times in nanoseconds. Blocks are
/// buffered and written whole. The first error sticks: nothing is written after it, every later call returns
/// it, and a regular file is cut back to its last whole block, so that what was captured stays readable. One
/// thread.
class PcapngWriter {
 public:
  using Result = std::expected<void, std::error_code>;

  /// Creates or truncates the file at `path`. The header is written at once, so that a full disk is known
  /// early.
  [[nodiscard]] static std::expected<PcapngWriter, std::error_code> create(const std::string& path);
  /// Takes over `file`, which is open for writing in binary and at the place where the section is to begin.
  [[nodiscard]] static std::expected<PcapngWriter, std::error_code> adopt(std::FILE* file);

  PcapngWriter(PcapngWriter&&) = default;
  PcapngWriter& operator=(PcapngWriter&&) = delete;
  /// Writes what is buffered; whoever wants to know whether that worked calls `close` first.
  ~PcapngWriter();

  /// One packet as it lies in `frame`, super-segments whole. Where the link was to fill in the TCP checksum,
  /// the capture gets it filled in. `comment` is UTF-8, cut at 65,535 octets; empty for none.
  Result write(std::int64_t unix_ns, PacketDirection direction, const wire::Frame& frame,
               std::string_view comment);
  /// Hands what is buffered to the system.
  Result flush();
  Result close();
  /// The first error; 0 while all is well.
  std::error_code last_error() const { return error_; }

 private:
  struct CloseFile {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  explicit PcapngWriter(std::FILE* file);
  void put_header();
  Result fail(int code);
  Result result() const;

  std::unique_ptr<std::FILE, CloseFile> file_;
  std::vector<std::byte> buffer_;   // whole blocks
  std::vector<std::byte> scratch_;  // one packet
  std::int64_t start_ = 0;          // where the section begins in the file; -1 where it has no places
  std::int64_t written_ = 0;        // octets of whole blocks behind `start_`
  std::error_code error_;
};

/// Writes every event that carries a packet, with states and reason as the comment:
/// `ESTABLISHED -> CLOSE-WAIT; fin_received: FIN: the peer sends nothing more. … (RFC 9293 §3.10.7.4)`.
class Capture final : public trace::Sink {
 public:
  /// `unix_offset` is what has to be added to an `Instant`'s nanoseconds to get those since 1970-01-01 00:00
  /// UTC.
  Capture(PcapngWriter writer, Duration unix_offset)
      : writer_(std::move(writer)), unix_offset_(unix_offset) {}
  void on_event(const trace::Event& e) override;

  PcapngWriter& writer() { return writer_; }
  std::error_code last_error() const { return writer_.last_error(); }

 private:
  PcapngWriter writer_;
  Duration unix_offset_;
};

/// The comment of a packet.
std::string capture_comment(const trace::Event& e);

}  // namespace synfin::view
