// SPDX-License-Identifier: Apache-2.0
//
// Connections drawn as they happen, a line at a time: this stack's end on the left with its own states, the
// peer on the right with states inferred from its segments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "synfin/trace/event.h"
#include "synfin/view/flow_table.h"
#include "synfin/view/lesson.h"
#include "synfin/view/peer_state.h"
#include "synfin/view/rails.h"
#include "synfin/view/segment_text.h"

namespace synfin::view {

struct LadderOptions {
  /// A sentence beneath each step that says what it proves, with its RFC section. Those of ordinary data and
  /// ACKs come once a connection.
  bool explain = true;
  /// ANSI escape sequences.
  bool colour = false;
  /// Sequence numbers as on the wire instead of counted from each end's initial number.
  bool absolute = false;
  /// Timestamps on every segment, not only on SYN and SYN-ACK.
  bool timestamps = false;
  /// Columns of a line; at least 80. Explanations, states and arrows keep to it.
  std::size_t width = 104;
  /// Data segments of a run that are drawn before the rest becomes one line of counts; 0 draws all.
  std::uint32_t show_segments = 6;
  /// Lost, late and repeated segments of a connection that are drawn before they are only counted.
  std::uint32_t show_repairs = 20;
  /// Connections remembered at once; the least recently active is forgotten first.
  std::size_t capacity = 4096;
};

/// A sink that draws. Lines come out during `on_event`, whole and with their newline. One thread.
class Ladder final : public trace::Sink {
 public:
  using Output = std::function<void(std::string_view)>;

  explicit Ladder(Output output, LadderOptions options = {});
  void on_event(const trace::Event& e) override;
  /// Draws what is still held back: counts of running transfers. Call it before the output goes away.
  void finish();

  /// An output that writes to `file`, which it does not own, and flushes each line. Write errors are ignored.
  static Output to_file(std::FILE* file);

 private:
  struct Change {
    trace::State from, to;
    trace::Reason reason;
    Instant at;
    Instant deadline;
  };
  struct Counts {
    std::uint64_t data_out = 0, octets_out = 0, acks_out = 0, data_in = 0, octets_in = 0, acks_in = 0,
                  repairs = 0;
    Instant first, last;
    bool any() const { return data_out + acks_out + data_in + acks_in != 0; }
  };
  struct Drawn : Flow {
    PeerState peer;
    Plot plot;
    std::vector<Change> held;  // state changes whose segment is still to come
    Counts counts;
    std::uint32_t run_shown = 0;
    std::uint32_t repairs_shown = 0;
    Instant last_segment;
    std::vector<const char*> said;  // sentences that need not come again
    trace::Reason last_own = trace::Reason::kNone;
    Instant last_own_at = Instant::never();
    bool titled = false;
    bool local_shown = false;
  };
  /// The text of one step, beneath its first line.
  struct Below {
    std::vector<std::string> left, middle, right;
    std::size_t quiet_from = 0;  // rows of `middle` from here on are explanation
  };

  void draw_packet(const trace::Event& e);
  void draw_listener(const trace::Event& e);
  void draw_own(Drawn& flow, const trace::Event& e);
  void draw_segment(Drawn& flow, const trace::Event& e, const std::vector<Change>& changes,
                    const std::vector<PeerStep>& steps);
  void draw_below(const Drawn& flow, const Below& below);
  void draw_gap(const Drawn& flow);
  void draw_row(const Drawn& flow, Row row);
  void draw_title(Drawn& flow);
  void segment(Drawn& flow, const trace::Event& e);
  bool collapses(Drawn& flow, const trace::Event& e);
  void count(Drawn& flow, const trace::Event& e);
  void end_run(Drawn& flow);
  void break_run(Drawn& flow);
  void release_held(Drawn& flow);
  void explain(Drawn& flow, const trace::Event& e, Below& below);
  std::string time_text(Instant at) const;
  std::string prefix(const Drawn& flow) const;
  Numbers numbers() const { return options_.absolute ? Numbers::kAbsolute : Numbers::kRelative; }

  Output output_;
  LadderOptions options_;
  Rails rails_;
  FlowTable<Drawn> flows_;
  bool gap_ = false;
  Instant epoch_ = Instant::never();
};

}  // namespace synfin::view
