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

  /// Answers or passes on some of the first of `frames`, one at least, and empties them. Returns how many.
  std::size_t take(std::span<wire::Frame> frames);

 private:
  /// What the answers to SYNs with the same options have in common.
  struct Kind {
    tcp::HalfOpenFacts facts;
    tcp::SynCookies::Terms terms;
    std::uint8_t ecn = 0;
    SynAckTemplate* answer = nullptr;
  };

  /// Whether SYNs to this address are answered by cookies now.
  bool look_at(const wire::Endpoint& local);
  bool judge(const wire::Endpoint& local);
  /// Reads the first of `frames` that are plain SYNs to one address. Returns how many.
  std::size_t read(std::span<wire::Frame> frames);
  bool read_usual(const wire::Frame& frame, std::size_t lane);
  bool read_unusual(const wire::Frame& frame, std::size_t lane);
  void begin(std::size_t lane, const Kind& kind);
  Kind kind_of(const wire::PlainSyn& syn);
  bool may_be_from(const wire::Endpoint& remote) const;
  void answer(const tcp::HalfOpen& half, const Kind& kind, std::uint32_t timestamp_offset);
  void pass_on(std::span<wire::Frame> frames) {
    stack_.receive_all(frames, ctx_);
    looked_at_ = false;  // what became of them may have changed the listener's mind
  }

  Stack::Impl& stack_;
  tcp::Context& ctx_;

  // The address that was looked at last, and what was seen.
  wire::Endpoint local_;
  bool looked_at_ = false;
  bool by_cookies_ = false;
  std::uint32_t index_ = 0;
  Listener* listener_ = nullptr;
  std::uint16_t default_mss_ = 0;
  wire::WindowScale scale_;
  // For this listener and address, by those options of the SYN that the SYN-ACK answers.
  std::array<SynAckTemplate, 8> templates_;
  // The first SYN to it, which the others are likely to be like.
  wire::SynPattern pattern_;
  Kind usual_;

  // SYNs that are answered side by side. One whose kind is `usual_` is filled in as far as that goes.
  std::array<tcp::HalfOpen, kHashLanes> halves_;
  std::array<const Kind*, kHashLanes> kinds_{};
  std::array<Kind, kHashLanes> unusual_;
  tcp::TupleLanes lanes_{wire::Family::kIpv4};
};

bool Stack::Impl::FloodAnswers::look_at(const wire::Endpoint& local) {
  if (looked_at_ && local == local_) return by_cookies_;
  by_cookies_ = judge(local);
  looked_at_ = true;
  return by_cookies_;
}

bool Stack::Impl::FloodAnswers::judge(const wire::Endpoint& local) {
  if (local != local_) {
    local_ = local;
    lanes_ = tcp::TupleLanes{local.address.family()};
    pattern_.forget();
    for (SynAckTemplate& t : templates_) t.forget();
  }
  const auto& own = stack_.config.addresses;
  if (std::ranges::find(own, local.address, &wire::Prefix::address) == own.end()) return false;
  const auto index = stack_.listener_for(local);
  if (!index || !stack_.answers_by_cookies(stack_.listeners[*index])) return false;
  index_ = *index;
  listener_ = &stack_.listeners[index_];
  const auto family = local.address.family();
  default_mss_ = tcp::default_mss(family);
  scale_ = tcp::scale_for(offer_of(*listener_, ctx_, family).largest_buffer);
  return true;
}

bool Stack::Impl::FloodAnswers::may_be_from(const wire::Endpoint& remote) const {
  return remote.port != 0 && remote.address != local_.address && remote.address.is_host() &&
         std::ranges::find(stack_.broadcasts, remote.address) == stack_.broadcasts.end();
}

Stack::Impl::FloodAnswers::Kind Stack::Impl::FloodAnswers::kind_of(const wire::PlainSyn& syn) {
  Kind kind;
  kind.facts.take_options(syn.options, default_mss_, scale_, ctx_.settings);
  kind.terms = tcp::SynCookies::terms(kind.facts);
  kind.ecn = syn.ecn;
  const tcp::HalfOpenFacts& facts = kind.facts;
  kind.answer =
      &templates_[(facts.scaled() ? 4u : 0u) | (facts.sack ? 2u : 0u) | (facts.timestamps ? 1u : 0u)];
  return kind;
}

// A usual one has of its own only what is read of it.
bool Stack::Impl::FloodAnswers::read_usual(const wire::Frame& frame, std::size_t lane) {
  tcp::HalfOpen& half = halves_[lane];
  if (kinds_[lane] != &usual_) {
    if (!pattern_.known()) return false;
    begin(lane, usual_);
  }
  if (!pattern_.read(frame, half.tuple.remote, half.irs, half.ts_recent)) return false;
  if (!half.timestamps) half.ts_recent = 0;
  return true;
}

bool Stack::Impl::FloodAnswers::read_unusual(const wire::Frame& frame, std::size_t lane) {
  wire::PlainSyn syn;
  if (!wire::read_plain_syn(frame, syn) || syn.tuple.local.port == 0) return false;
  if (lane == 0) {
    (void)look_at(syn.tuple.local);
  } else if (syn.tuple.local != local_) {
    return false;
  }
  unusual_[lane] = kind_of(syn);
  // What follows is likely to be like it. Not each that is new, lest a flood of all kinds cost more.
  if (by_cookies_ && (lane == 0 || !pattern_.known())) {
    pattern_.learn(frame, syn);
    usual_ = unusual_[lane];
    kinds_.fill(nullptr);
  }
  begin(lane, unusual_[lane]);
  tcp::HalfOpen& half = halves_[lane];
  half.tuple.remote = syn.tuple.remote;
  half.irs = syn.seq;
  if (half.timestamps) half.ts_recent = syn.options.timestamps.value;
  return true;
}

void Stack::Impl::FloodAnswers::begin(std::size_t lane, const Kind& kind) {
  static_cast<tcp::HalfOpenFacts&>(halves_[lane]) = kind.facts;
  halves_[lane].tuple.local = local_;
  kinds_[lane] = &kind;
}

std::size_t Stack::Impl::FloodAnswers::read(std::span<wire::Frame> frames) {
  const std::size_t most = std::min(frames.size(), kHashLanes);
  std::size_t count = 0;
  for (; count < most; ++count) {
    if (!read_usual(frames[count], count) && !read_unusual(frames[count], count)) break;
    const wire::FourTuple& tuple = halves_[count].tuple;
    if (!may_be_from(tuple.remote)) break;
    lanes_.put(count, tuple);
  }
  return count;
}

void Stack::Impl::FloodAnswers::answer(const tcp::HalfOpen& half, const Kind& kind,
                                       std::uint32_t timestamp_offset) {
  Listener& l = *listener_;
  l.monitor->on_syn(half.tuple.remote.address, ctx_.now);
  l.last_overflow = ctx_.now;
  ctx_.count(Counter::kInSegs);
  static constexpr std::array kByCodepoint{Counter::kInNoECTPkts, Counter::kInECT1Pkts, Counter::kInECT0Pkts,
                                           Counter::kInCEPkts};
  ctx_.count(kByCodepoint[kind.ecn]);
  ctx_.count(Counter::kTCPReqQFullDoCookies);
  ctx_.count(Counter::kSyncookiesSent);
  ++stack_.counters[Reason::kSynCookieSent];
  SynAckTemplate& t = *kind.answer;
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
    t.write(half, half.timestamps ? tcp::SynCookies::timestamp(kind.terms, clock) : 0, reply);
    reply.behind = static_cast<std::uint32_t>(stack_.replies.size());
  }
  if (l.monitor->due(ctx_.now)) stack_.judge_flood(index_, ctx_);
}

std::size_t Stack::Impl::FloodAnswers::take(std::span<wire::Frame> frames) {
  const std::size_t count = read(frames);
  if (count == 0) {
    const std::size_t taken = stack_.receive(frames, ctx_);
    for (wire::Frame& frame : frames.first(taken)) frame.clear();
    looked_at_ = false;
    return taken;
  }
  frames = frames.first(count);
  if (!look_at(local_)) {
    pass_on(frames);
    return count;
  }
  if (stack_.cookies.keys().due(ctx_.now)) {
    // The first cookie that is made draws a new key.
    pass_on(frames.first(1));
    return 1;
  }
  HashLanes hashes;
  lanes_.hash(stack_.tuple_key, hashes);
  for (std::size_t i = 0; i < count; ++i) stack_.table.prefetch(tcp::TupleHash::of(hashes[i]).place);
  std::array<tcp::SynCookies::Terms, kHashLanes> terms;
  for (std::size_t i = 0; i < count; ++i) terms[i] = kinds_[i]->terms;
  stack_.cookies.make(std::span{halves_}.first(count), terms, lanes_, ctx_.now);
  for (std::size_t i = 0; i < count; ++i) {
    const tcp::TupleHash hash = tcp::TupleHash::of(hashes[i]);
    const bool taken = bool{stack_.table.find(hash.place, [](RecordRef) { return true; })};
    if (taken && stack_.find(halves_[i].tuple, hash.place)) {
      pass_on(frames.subspan(i, 1));  // somebody's
      if (look_at(local_)) continue;
      pass_on(frames.subspan(i + 1));
      break;
    }
    answer(halves_[i], *kinds_[i], hash.timestamp_offset);
    frames[i].clear();
  }
  stack_.flooded = true;
  return count;
}

void Stack::Impl::receive_flood(std::span<wire::Frame> frames, tcp::Context& ctx) {
  flooded = false;  // until there is one more
  FloodAnswers answers{*this, ctx};
  while (!frames.empty()) frames = frames.subspan(answers.take(frames));
}

std::size_t Stack::Impl::send_written(std::span<wire::Frame> out) {
  std::size_t n = 0;
  for (; n < out.size() && written_sent < written.size() && written[written_sent].behind <= replies_sent;
       ++n) {
    const WrittenReply& reply = written[written_sent++];
    wire::Frame& frame = out[n];
    frame.clear();
    std::memcpy(frame.header.data(), reply.octets.data(), reply.octets.size());
    frame.header_size = reply.size;
    frame.needs_checksum = reply.needs_checksum;
  }
  counters[Counter::kOutSegs] += n;
  return n;
}

}  // namespace synfin::stack
