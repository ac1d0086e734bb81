// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "synfin/view/text.h"

namespace synfin::view {
namespace {

using trace::Event;
using trace::EventKind;
using trace::Reason;
using trace::State;

// A transfer that stays silent for longer than this begins a new run, of which the first segments are drawn
// again.
constexpr Duration kPause = Duration::milliseconds(200);
// A long transfer reports its counts about this often.
constexpr Duration kReportEvery = Duration::seconds(1);
// Data segments drawn after something else interrupted a run.
constexpr std::uint32_t kShownAfterBreak = 2;

std::string state_text(const PeerStep& step) {
  return fmt::format("{}{}", trace::name(step.state), step.certain ? "" : "?");
}

// `program: close`, `timer: retransmit timeout`.
std::string own_text(Reason r) {
  std::string what{trace::name(r)};
  if (r == Reason::kActiveOpen) what = "connect";
  if (r == Reason::kPassiveOpen) what = "listen";
  if (r == Reason::kCloseCalled) what = "close";
  if (r == Reason::kAbortCalled) what = "abort";
  std::replace(what.begin(), what.end(), '_', ' ');
  return fmt::format("{}: {}", is_timer(r) ? "timer" : "program", what);
}

std::string wait_text(Instant at, Instant deadline) {
  return fmt::format("TIME-WAIT for {} s more", seconds_text(deadline - at, 3));
}

Tone tone_of(const Event& e) {
  if (e.header->flags.rst()) return Tone::kAlarm;
  const bool doubtful = is_repair(e) || (e.kind == EventKind::kSegmentReceived && is_disbelieved(e.reason));
  return doubtful ? Tone::kWarning : Tone::kPlain;
}

std::uint64_t segments_in(const Event& e) {
  const std::uint32_t size = e.frame == nullptr ? 0 : e.frame->segment_size;
  return size == 0 ? 1 : (e.payload_size + size - 1) / size;
}

}  // namespace

Ladder::Ladder(Output output, LadderOptions options)
    : output_(std::move(output)),
      options_(options),
      rails_(options.width, options.colour),
      flows_(options.capacity) {}

Ladder::Output Ladder::to_file(std::FILE* file) {
  return [file](std::string_view line) {
    std::fwrite(line.data(), 1, line.size(), file);
    std::fflush(file);
  };
}

void Ladder::on_event(const Event& e) {
  if (epoch_.is_never()) epoch_ = e.at;
  if (e.kind == EventKind::kPacketReceived || e.kind == EventKind::kPacketSent) return draw_packet(e);
  if (e.tuple.remote.port == 0 && !is_segment(e.kind)) return draw_listener(e);
  Drawn& flow = flows_.look_up(e).flow;
  if (!flow.held.empty() && flow.held.back().at != e.at) release_held(flow);
  switch (e.kind) {
    case EventKind::kSegmentReceived:
    case EventKind::kSegmentSent:
      if (e.header != nullptr) segment(flow, e);
      break;
    case EventKind::kStateChanged:
      if (is_timer(e.reason) || is_call(e.reason)) {
        draw_own(flow, e);
      } else {
        flow.held.push_back({e.from, e.to, e.reason, e.at, e.deadline});
      }
      break;
    case EventKind::kTimer:
    case EventKind::kCall:
      draw_own(flow, e);
      break;
    case EventKind::kPacketReceived:
    case EventKind::kPacketSent:
    case EventKind::kFlood:
      break;
  }
}

void Ladder::finish() {
  flows_.for_each([this](Drawn& flow) {
    release_held(flow);
    end_run(flow);
  });
}

std::string Ladder::time_text(Instant at) const {
  return seconds_text(at - epoch_, 6);
}

// The number tells connections apart only where there are several.
std::string Ladder::prefix(const Drawn& flow) const {
  const bool alone = flows_.open_count() == (flow.ended ? 0U : 1U);
  return alone ? std::string{} : fmt::format("#{}", flow.number);
}

void Ladder::draw_row(const Drawn& flow, Row row) {
  const std::string number = prefix(flow);
  row.prefix = number;
  output_(rails_.row(row));
}

void Ladder::draw_title(Drawn& flow) {
  if (std::exchange(flow.titled, true)) return;
  gap_ = false;
  if (flow.number != 1) output_("\n");
  output_(rails_.banner(fmt::format("#{}", flow.number), "Synfin " + flow.tuple.local.to_string(),
                        "peer " + flow.tuple.remote.to_string(), Tone::kStrong));
  output_(rails_.banner("", "states are its own",
                        "states inferred from its segments (?: if our last ACK arrived)", Tone::kQuiet));
  draw_row(flow, {});
}

void Ladder::draw_packet(const Event& e) {
  const std::string size = e.frame == nullptr ? "" : fmt::format(", {} octets", e.frame->size());
  const std::string_view section = trace::section(e.reason);
  output_(fmt::format("{:{}}{:>{}} packet {}{}: {}{}\n", "", Rails::kPrefix, time_text(e.at), Rails::kTime,
                      e.kind == EventKind::kPacketSent ? "sent" : "received", size, trace::name(e.reason),
                      section.empty() ? "" : fmt::format(" ({})", section)));
}

void Ladder::draw_listener(const Event& e) {
  if (e.kind == EventKind::kStateChanged && !is_call(e.reason)) return;
  // The call and the change of state that it makes are one line.
  if (e.kind == EventKind::kStateChanged) {
    output_(fmt::format("{:{}}{:>{}} {} becomes {}\n", "", Rails::kPrefix, time_text(e.at), Rails::kTime,
                        e.tuple.local.to_string(), trace::name(e.to)));
    return;
  }
  output_(fmt::format("{:{}}{:>{}} {} on {}\n", "", Rails::kPrefix, time_text(e.at), Rails::kTime,
                      own_text(e.reason), e.tuple.local.to_string()));
}

void Ladder::draw_own(Drawn& flow, const Event& e) {
  const bool again = flow.last_own == e.reason && flow.last_own_at == e.at;
  const bool changes = e.kind == EventKind::kStateChanged;
  if (again && !changes) return;
  if (!changes && is_routine(e.reason)) return;
  if (!changes && is_repair(e) && flow.repairs_shown >= options_.show_repairs) return;
  flow.last_own = e.reason;
  flow.last_own_at = e.at;
  release_held(flow);
  break_run(flow);
  draw_title(flow);
  const std::string text = again ? std::string{} : " " + own_text(e.reason);
  std::string_view left;
  if (changes) {
    left = trace::name(e.to);
  } else if (!flow.local_shown) {
    left = trace::name(e.from);
  }
  flow.local_shown = true;
  if (again) {
    gap_ = false;
  } else {
    draw_gap(flow);
  }
  const std::string time = again ? std::string{} : time_text(e.at);
  draw_row(flow, {.time = time, .left = left, .middle = text, .tone = Tone::kStrong});
  Below below;
  if (changes && e.to == State::kTimeWait && !e.deadline.is_never())
    below.middle.push_back(wait_text(e.at, e.deadline));
  below.quiet_from = below.middle.size();
  if (!again) explain(flow, e, below);
  draw_below(flow, below);
}

// A step begins: an empty row sets it off from the one before where sentences stand between.
void Ladder::draw_gap(const Drawn& flow) {
  if (std::exchange(gap_, false)) draw_row(flow, {});
}

// State changes that turned out to have no segment of their own.
void Ladder::release_held(Drawn& flow) {
  if (flow.held.empty()) return;
  const std::vector<Change> held = std::exchange(flow.held, {});
  break_run(flow);
  draw_title(flow);
  for (const Change& c : held) {
    draw_gap(flow);
    const std::string text = fmt::format(" {}", trace::name(c.reason));
    const std::string time = time_text(c.at);
    draw_row(flow, {.time = time, .left = trace::name(c.to), .middle = text});
    flow.local_shown = true;
    Below below;
    if (c.to == State::kTimeWait && !c.deadline.is_never())
      below.middle.push_back(wait_text(c.at, c.deadline));
    below.quiet_from = below.middle.size();
    draw_below(flow, below);
  }
}

void Ladder::segment(Drawn& flow, const Event& as_told) {
  Event e = as_told;
  if (e.kind == EventKind::kSegmentSent && !flow.held.empty()) {
    // Sending it made the change: the new state is what the segment speaks from, whichever the sender noted.
    e.from = flow.held.front().from;
    e.to = flow.held.back().to;
  }
  const PeerState::Segment s{e.header->flags, e.header->seq, e.header->ack, e.payload_size};
  std::vector<PeerStep> steps;
  if (e.kind == EventKind::kSegmentSent) {
    steps = flow.peer.on_sent(s);
  } else if (!is_disbelieved(e.reason)) {
    steps = flow.peer.on_received(s);
  }
  std::vector<Change> changes = std::exchange(flow.held, {});
  if (changes.empty() && e.from != e.to) changes.push_back({e.from, e.to, e.reason, e.at, e.deadline});
  const bool control =
      (e.header->flags.bits() & (wire::Flags::kSyn | wire::Flags::kFin | wire::Flags::kRst)) != 0;
  const bool quiet = changes.empty() && steps.empty() && !control && flow.titled &&
                     !flow.plot.third_segment_due && !flow.plot.fin_ack_due;
  if (!quiet || !collapses(flow, e)) {
    if (!quiet || !is_routine(e.reason)) break_run(flow);
    draw_segment(flow, e, changes, steps);
  }
  flow.plot.follow(e);
  flow.last_segment = e.at;
}

bool Ladder::collapses(Drawn& flow, const Event& e) {
  if (options_.show_segments == 0) return false;
  if (is_repair(e)) {
    if (flow.repairs_shown++ < options_.show_repairs) return false;
    ++flow.counts.repairs;
    count(flow, e);
    return true;
  }
  if (!is_routine(e.reason)) return false;
  if (e.at - flow.last_segment > kPause) {
    end_run(flow);
    flow.run_shown = 0;
  }
  if (flow.run_shown < options_.show_segments) {
    if (e.payload_size != 0) ++flow.run_shown;
    return false;
  }
  count(flow, e);
  return true;
}

void Ladder::count(Drawn& flow, const Event& e) {
  Counts& c = flow.counts;
  if (c.any() && e.at - c.first >= kReportEvery) end_run(flow);
  if (!c.any()) c.first = e.at;
  c.last = e.at;
  const bool out = e.kind == EventKind::kSegmentSent;
  if (e.payload_size == 0) {
    ++(out ? c.acks_out : c.acks_in);
  } else {
    (out ? c.data_out : c.data_in) += segments_in(e);
    (out ? c.octets_out : c.octets_in) += e.payload_size;
  }
}

// Something else happened: a little of what comes next is drawn again.
void Ladder::break_run(Drawn& flow) {
  end_run(flow);
  const std::uint32_t again = std::min(options_.show_segments, kShownAfterBreak);
  flow.run_shown = std::min(flow.run_shown, options_.show_segments - again);
}

// Draws the counts of what was not drawn, if anything.
void Ladder::end_run(Drawn& flow) {
  const Counts c = std::exchange(flow.counts, {});
  if (!c.any()) return;
  std::vector<std::string> parts;
  const auto data = [&](std::uint64_t n, std::uint64_t octets, std::string_view arrow) {
    if (n != 0)
      parts.push_back(
          fmt::format("{} segment{}, {} octets {}", grouped(n), n == 1 ? "" : "s", grouped(octets), arrow));
  };
  const auto acks = [&](std::uint64_t n, std::string_view arrow) {
    if (n != 0) parts.push_back(fmt::format("{} ACK{} {}", grouped(n), n == 1 ? "" : "s", arrow));
  };
  data(c.data_out, c.octets_out, "→");
  data(c.data_in, c.octets_in, "←");
  acks(c.acks_out, "→");
  acks(c.acks_in, "←");
  if (c.repairs != 0) parts.push_back(fmt::format("{} of them repairs", grouped(c.repairs)));
  const std::string text = fmt::format("… {}", fmt::join(parts, ", "));
  std::string time = time_text(c.last);
  draw_gap(flow);
  for (const std::string& line : wrap(text, rails_.inner() - 2)) {
    const std::string middle = " " + line;
    draw_row(flow, {.time = time, .middle = middle});
    time.clear();
  }
  gap_ = options_.explain;
}

void Ladder::explain(Drawn& flow, const Event& e, Below& below) {
  const Lesson lesson = lesson_for(e, flow.plot);
  if (!options_.explain) {
    if (is_segment(e.kind) && tone_of(e) == Tone::kWarning)
      below.middle.push_back(fmt::format("({})", trace::name(e.reason)));
    return;
  }
  if (lesson.sentence.empty()) return;
  if (is_routine(e.reason) || is_repair(e)) {
    const char* id = lesson.sentence.data();
    if (std::find(flow.said.begin(), flow.said.end(), id) != flow.said.end()) return;
    flow.said.push_back(id);
  }
  std::string text{lesson.sentence};
  if (!lesson.section.empty()) text += " " + unbreakable(fmt::format("({})", lesson.section));
  for (std::string& line : wrap(text, rails_.inner() - 2)) below.middle.push_back(std::move(line));
}

void Ladder::draw_below(const Drawn& flow, const Below& below) {
  const std::size_t rows = std::max({below.left.size(), below.middle.size(), below.right.size()});
  const auto at = [](const std::vector<std::string>& v, std::size_t i) {
    return i < v.size() ? v[i] : std::string{};
  };
  for (std::size_t i = 0; i < rows; ++i) {
    const std::string left = at(below.left, i);
    const std::string text = at(below.middle, i);
    const std::string middle = text.empty() ? text : " " + text;
    const std::string right = at(below.right, i);
    draw_row(flow, {.left = left,
                    .middle = middle,
                    .right = right,
                    .tone = i >= below.quiet_from ? Tone::kQuiet : Tone::kPlain});
  }
  gap_ = options_.explain;
}

void Ladder::draw_segment(Drawn& flow, const Event& e, const std::vector<Change>& changes,
                          const std::vector<PeerStep>& steps) {
  end_run(flow);
  draw_title(flow);
  const bool out = e.kind == EventKind::kSegmentSent;
  // The sender's states come before its arrow or stand at its tail, the receiver's beneath the head: time
  // runs downwards.
  std::vector<std::string> ours, theirs;
  for (const Change& c : changes) ours.emplace_back(trace::name(c.to));
  for (const PeerStep& s : steps) theirs.push_back(state_text(s));
  std::vector<std::string>& senders = out ? ours : theirs;
  std::string left, right;
  draw_gap(flow);
  for (std::size_t i = 0; i + 1 < senders.size(); ++i) {
    draw_row(flow, {.left = out ? senders[i] : "", .right = out ? "" : senders[i]});
  }
  if (!senders.empty()) (out ? left : right) = senders.back();
  if (left.empty() && !flow.local_shown) left = trace::name(e.from);
  flow.local_shown = true;

  std::vector<std::string> parts = segment_parts(e, flow, numbers());
  std::string label = parts.front();
  std::size_t taken = 1;
  while (taken < parts.size() && columns(label) + 2 + columns(parts[taken]) <= rails_.label_room()) {
    label += "  " + parts[taken++];
  }
  const Heading heading = out ? Heading::kRight : Heading::kLeft;
  const std::string arrow = rails_.arrow(label, heading);
  const std::string time = time_text(e.at);
  draw_row(
      flow,
      {.time = time, .left = left, .middle = arrow, .right = right, .heading = heading, .tone = tone_of(e)});

  Below below;
  (out ? below.right : below.left) = out ? theirs : ours;
  for (const Change& c : changes) {
    if (c.to == State::kTimeWait && !c.deadline.is_never())
      below.middle.push_back(wait_text(e.at, c.deadline));
  }
  if (below.middle.empty() && e.to == State::kTimeWait && !e.deadline.is_never()) {
    below.middle.push_back(wait_text(e.at, e.deadline));
  }
  std::string more;
  for (; taken < parts.size(); ++taken) more += (more.empty() ? "" : ", ") + parts[taken];
  const std::string options = options_text(
      e, flow, numbers(), options_.timestamps ? ShowTimestamps::kAlways : ShowTimestamps::kOnSyn);
  if (!options.empty()) more += (more.empty() ? "" : ", ") + options;
  for (std::string& line : wrap(more, rails_.inner() - 2)) below.middle.push_back(std::move(line));
  below.quiet_from = below.middle.size();
  explain(flow, e, below);
  draw_below(flow, below);
}

}  // namespace synfin::view
