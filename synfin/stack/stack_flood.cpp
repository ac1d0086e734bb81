// SPDX-License-Identifier: Apache-2.0
//
// A flood of SYNs, answered by cookies a group at a time: parsed, hashed side by side, looked up, and
// answered by copies of one SYN-ACK. Nothing is decided here: what is not plain, or for anybody but a
// listener that answers by cookies, goes the way of all packets, and so does the first SYN-ACK of each kind.
// Read first: stack_listen.cpp, `to_listener` and `with_cookie`.
#include <algorithm>
#include <array>
#include <cstring>

#include "synfin/stack/impl.h"
#include "synfin/tcp/tuple_lanes.h"
#include "synfin/wire/plain_syn.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;

/// The answers to the SYNs of one batch.
class Stack::Impl::FloodAnswers {
 public:
  FloodAnswers(Stack::Impl& stack, tcp::Context& ctx) : stack_(stack), ctx_(ctx) {}

  /// Answers or passes on `frames`, of which `syns` is what was read.
  void take(std::span<wire::Frame> frames, std::span<const wire::PlainSyn> syns);

 private:
  /// Whether SYNs to this address are answered by cookies now.
  bool look_at(const wire::Endpoint& local);
  void answer(const tcp::HalfOpen& half, std::uint32_t timestamp_offset, std::uint8_t ecn);
  void pass_on(std::span<wire::Frame> frames) { stack_.receive_all(frames, ctx_); }

  Stack::Impl& stack_;
  tcp::Context& ctx_;
  wire::Endpoint local_;  // that was looked at last
  std::uint32_t listener_ = 0;
  std::uint16_t default_mss_ = 0;
  wire::WindowScale scale_;
  // For this listener and address, by those options of the SYN that the SYN-ACK answers.
  std::array<SynAckTemplate, 8> templates_;
};

bool Stack::Impl::FloodAnswers::look_at(const wire::Endpoint& local) {
  const auto& own = stack_.config.addresses;
  if (std::ranges::find(own, local.address, &wire::Prefix::address) == own.end()) return false;
  const auto index = stack_.listener_for(local);
  if (!index || !stack_.answers_by_cookies(stack_.listeners[*index])) return false;
  if (local != local_) {
    local_ = local;
    listener_ = *index;
    const auto family = local.address.family();
    default_mss_ = tcp::default_mss(family);
    scale_ = tcp::scale_for(offer_of(stack_.listeners[*index], ctx_, family).largest_buffer);
    for (SynAckTemplate& t : templates_) t.forget();
  }
  return true;
}

void Stack::Impl::FloodAnswers::answer(const tcp::HalfOpen& half, std::uint32_t timestamp_offset,
                                       std::uint8_t ecn) {
  Listener& l = stack_.listeners[listener_];
  l.monitor->on_syn(half.tuple.remote.address, ctx_.now);
  l.last_overflow = ctx_.now;
  ctx_.count(Counter::kInSegs);
  static constexpr std::array kByCodepoint{Counter::kInNoECTPkts, Counter::kInECT1Pkts, Counter::kInECT0Pkts,
                                           Counter::kInCEPkts};
  ctx_.count(kByCodepoint[ecn]);
  ctx_.count(Counter::kTCPReqQFullDoCookies);
  ctx_.count(Counter::kSyncookiesSent);
  ++stack_.counters[Reason::kSynCookieSent];
  SynAckTemplate& t =
      templates_[(half.scaled() ? 4u : 0u) | (half.sack ? 2u : 0u) | (half.timestamps ? 1u : 0u)];
  if (!t.known()) {
    tcp::Reply& model = stack_.send_cookie(l, timestamp_offset, half, ctx_);
    wire::Frame frame;
    stack_.write(model.tuple, model, model.traffic_class, frame);
    // Should it be no model, then it is its own answer only.
    if (t.learn(frame)) stack_.replies.pop_back();
  }
  if (t.known()) {
    WrittenReply& reply = stack_.written.emplace_back();
    const std::uint32_t clock = tcp::timestamp_value(ctx_.now, timestamp_offset);
    t.write(half, half.timestamps ? tcp::SynCookies::timestamp(half, clock) : 0, reply);
    reply.behind = static_cast<std::uint32_t>(stack_.replies.size());
  }
  if (l.monitor->due(ctx_.now)) stack_.judge_flood(listener_, ctx_);
}

void Stack::Impl::FloodAnswers::take(std::span<wire::Frame> frames, std::span<const wire::PlainSyn> syns) {
  if (!look_at(syns[0].tuple.local)) return pass_on(frames);
  if (stack_.cookies.keys().due(ctx_.now)) {
    // The first cookie that is made draws a new key.
    pass_on(frames.first(1));
    if (frames.size() > 1) take(frames.subspan(1), syns.subspan(1));
    return;
  }
  std::array<tcp::HalfOpen, kHashLanes> halves;
  tcp::TupleLanes lanes{local_.address.family()};
  for (std::size_t i = 0; i < syns.size(); ++i) {
    halves[i].tuple = syns[i].tuple;
    halves[i].irs = syns[i].seq;
    halves[i].take_options(syns[i].options, default_mss_, scale_, ctx_.settings);
    lanes.put(i, syns[i].tuple);
  }
  HashLanes hashes;
  lanes.hash(stack_.tuple_key, hashes);
  for (std::size_t i = 0; i < syns.size(); ++i) stack_.table.prefetch(tcp::TupleHash::of(hashes[i]).place);
  stack_.cookies.make(std::span{halves}.first(syns.size()), lanes, ctx_.now);
  for (std::size_t i = 0; i < syns.size(); ++i) {
    const tcp::TupleHash hash = tcp::TupleHash::of(hashes[i]);
    const bool taken = bool{stack_.table.find(hash.place, [](RecordRef) { return true; })};
    if (taken && stack_.find(syns[i].tuple, hash.place)) {
      // Somebody's; and what becomes of it may change the listener's mind.
      pass_on(frames.subspan(i, 1));
      if (!look_at(local_)) return pass_on(frames.subspan(i + 1));
      continue;
    }
    answer(halves[i], hash.timestamp_offset, syns[i].ecn);
    frames[i].clear();
  }
  stack_.flooded = true;
}

void Stack::Impl::receive_flood(std::span<wire::Frame> frames, tcp::Context& ctx) {
  flooded = false;  // until there is one more
  FloodAnswers answers{*this, ctx};
  std::array<wire::PlainSyn, kHashLanes> syns;
  const auto is_plain = [&](const wire::Frame& frame, wire::PlainSyn& syn) {
    if (!wire::read_plain_syn(frame, syn)) return false;
    const auto& [local, remote] = syn.tuple;
    return local.port != 0 && remote.port != 0 && local.address != remote.address &&
           remote.address.is_host() && std::ranges::find(broadcasts, remote.address) == broadcasts.end();
  };
  while (!frames.empty()) {
    const std::size_t most = std::min(frames.size(), kHashLanes);
    std::size_t count = 0;
    while (count < most && is_plain(frames[count], syns[count]) &&
           syns[count].tuple.local == syns[0].tuple.local)
      ++count;
    if (count == 0) {
      count = receive(frames, ctx);
      for (wire::Frame& frame : frames.first(count)) frame.clear();
    } else {
      answers.take(frames.first(count), std::span{syns}.first(count));
    }
    frames = frames.subspan(count);
  }
}

void Stack::Impl::send_written(const WrittenReply& reply, wire::Frame& frame) {
  frame.clear();
  std::memcpy(frame.header.data(), reply.octets.data(), reply.octets.size());
  frame.header_size = reply.size;
  frame.needs_checksum = reply.needs_checksum;
  ++counters[Counter::kOutSegs];
}

}  // namespace synfin::stack
