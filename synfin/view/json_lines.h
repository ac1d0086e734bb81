// SPDX-License-Identifier: Apache-2.0
//
// Every event as one JSON object on a line of its own, for scripts.
//
// clang-format off
// | field | is |
// |---|---|
// | `time` | seconds since the first event |
// | `event` | `segment_received`, `segment_sent`, `packet_received`, `packet_sent`, `state`, `timer`, `call`, `flood` |
// | `connection` | 1 for the first connection seen, then counted up; not for packets and listeners |
// | `local`, `remote` | `10.77.0.2:80`, `[fd77::2]:80`; not for packets; a listener has no `remote` |
// | `from`, `to` | states as RFC 9293 spells them; not for packets and floods |
// | `reason`, `section` | as `synfin explain` knows them; `section` is missing where no RFC has a say |
// | `flags` | `SYN,ACK` |
// | `seq`, `ack`, `seq_raw`, `ack_raw` | relative to the initial numbers and as on the wire; `ack` only with ACK set |
// | `len` | payload octets of a segment, all octets of a packet |
// | `window` | octets; of a flood: seconds that the counts are from |
// | `options` | `mss`, `wscale`, `sack_ok`, `ts` [value, echo], `sack` [[left, right], …] relative, `tfo` (hexadecimal cookie), `md5`, `ao` |
// | `retransmission` | true; missing otherwise |
// | `remaining` | seconds until TIME-WAIT ends |
//
// A flood has the fields of trace/flood.h under their names there: rates in 1/s, `lasted` in seconds, `begins` true or false,
// `top_networks` [{`prefix`, `share`}, …].
// clang-format on
#pragma once

#include <cstdio>
#include <string>
#include <system_error>

#include "synfin/trace/event.h"
#include "synfin/view/flow_table.h"

namespace synfin::view {

enum class FlushLines : std::uint8_t {
  kNo,
  kEach
};

class JsonLines final : public trace::Sink {
 public:
  /// Writes to `file`, which it does not own. kEach hands every line to the system at once.
  explicit JsonLines(std::FILE* file, FlushLines flush = FlushLines::kNo, std::size_t capacity = 4096)
      : file_(file), flush_(flush), flows_(capacity) {}
  void on_event(const trace::Event& e) override;
  /// Hands all lines to the system; returns the first error there was.
  std::error_code finish();
  /// The first error; nothing is written after it. 0 while all is well.
  std::error_code last_error() const { return error_; }

 private:
  std::string line(const trace::Event& e);
  void fail(int code);

  std::FILE* file_;
  FlushLines flush_;
  FlowTable<Flow> flows_;
  Instant epoch_ = Instant::never();
  std::error_code error_;
};

}  // namespace synfin::view
