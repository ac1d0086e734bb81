// SPDX-License-Identifier: Apache-2.0
#include "synfin/sim/network.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "synfin/wire/ip.h"

namespace synfin::sim {
namespace {

constexpr std::size_t kBatch = 64;
// Far more than any honest exchange needs within one instant.
constexpr std::size_t kMostRoundsAtOnce = 10'000;

std::optional<wire::TcpPacket> read_packet(const wire::Frame& frame) {
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip || ip->header.protocol != wire::protocol::kTcp) return std::nullopt;
  const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
  if (!packet) return std::nullopt;
  return *packet;
}

}  // namespace

Network::Network(NetworkOptions options)
    : clock_(options.start), entropy_(options.seed), faults_(std::move(options.faults)), batch_(kBatch) {
  faults_.resize(options.hosts);
  busy_until_.resize(options.hosts);
  options.sinks.resize(options.hosts, nullptr);
  for (std::size_t i = 0; i < options.hosts; ++i) {
    const auto last = static_cast<std::uint8_t>(i + 1);
    std::array<std::byte, 16> six{};
    six[0] = std::byte{0xfd};
    six[1] = std::byte{0x77};
    six[15] = std::byte{last};
    stack::Config config;
    config.addresses = {{wire::IpAddress::v4(10, 77, 0, last), 24},
                        {wire::IpAddress::from_v6_octets(six.data()), 64}};
    config.mtu = options.mtu;
    config.settings = options.settings;
    config.short_paths = options.short_paths;
    auto host = std::make_unique<Host>();
    host->entropy = std::make_unique<SeededEntropy>(entropy_.u64());
    host->stack = std::make_unique<stack::Stack>(std::move(config), pool_, *host->entropy, options.sinks[i]);
    hosts_.push_back(std::move(host));
  }
}

Network::~Network() {
  on_the_way_.clear();
  hosts_.clear();
}

wire::IpAddress Network::address(std::size_t i, wire::Family family) const {
  for (const wire::Prefix& p : hosts_[i]->stack->config().addresses) {
    if (p.address.family() == family) return p.address;
  }
  return {};
}

void Network::drop_next(std::size_t from, Predicate predicate, std::size_t count) {
  if (count != 0) drops_.push_back({from, std::move(predicate), count});
}

void Network::enqueue(Flight flight) {
  on_the_way_.push_back(std::move(flight));
  std::push_heap(on_the_way_.begin(), on_the_way_.end(), std::greater<>());
}

void Network::inject(std::size_t to, wire::Frame frame) {
  enqueue({.due = clock_.now(), .order = order_++, .to = to, .frame = std::move(frame)});
}

void Network::call_at(Instant t, std::function<void()> f) {
  enqueue({.due = std::max(t, clock_.now()), .order = order_++, .call = std::move(f)});
}

bool Network::wanted_lost(std::size_t from, const wire::TcpPacket* packet) {
  if (packet == nullptr) return false;
  for (auto d = drops_.begin(); d != drops_.end(); ++d) {
    if (d->from != from || !d->predicate(*packet)) continue;
    if (--d->left == 0) drops_.erase(d);
    return true;
  }
  return false;
}

wire::Frame Network::flattened(const wire::Frame& frame, bool damaged) {
  std::vector<std::byte> octets(frame.size());
  frame.copy_out(0, octets);
  if (damaged) {
    const std::size_t network_header = (load_u8(octets.data()) >> 4) == 4 ? 20 : 40;
    if (octets.size() > network_header) {
      const auto where =
          network_header + entropy_.below(static_cast<std::uint32_t>(octets.size() - network_header));
      octets[where] ^= std::byte{static_cast<std::uint8_t>(1u << entropy_.below(8))};
    }
  }
  wire::Frame flat;
  flat.add(pool_.copy(octets));
  return flat;
}

wire::Frame Network::meddled(std::size_t from, const wire::Frame& frame) {
  std::vector<std::byte> octets(frame.size());
  frame.copy_out(0, octets);
  meddler_(from, octets);
  wire::Frame flat;
  flat.add(pool_.copy(octets));
  return flat;
}

// In whole nanoseconds, so that every compiler gives the same times.
std::optional<Duration> Network::pass_bottleneck(std::size_t from, std::size_t octets) {
  const Faults& faults = faults_[from];
  if (faults.rate == 0) return Duration::zero();
  const auto time_for = [&faults](std::uint64_t n) {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    return Duration::nanoseconds(static_cast<std::int64_t>(n * kSecond / faults.rate));
  };
  const Instant begin = std::max(busy_until_[from], clock_.now());
  if (begin - clock_.now() > time_for(faults.queue)) return std::nullopt;
  busy_until_[from] = begin + time_for(octets);
  return busy_until_[from] - clock_.now();
}

void Network::launch(std::size_t from, std::size_t to, Duration queued, wire::Frame frame) {
  const Faults& faults = faults_[from];
  Instant due = clock_.now() + queued + faults.delay;
  if (faults.jitter > Duration::zero()) {
    due = due + Duration::microseconds(entropy_.below(static_cast<std::uint32_t>(faults.jitter.us()) + 1));
  }
  if (chance(faults.reorder)) {
    due =
        due + Duration::microseconds(entropy_.below(static_cast<std::uint32_t>(faults.reorder_by.us()) + 1));
  }
  // As links do: some hand over one contiguous packet, some the pieces that the sender gave them.
  if (entropy_.below(2) == 0) frame = flattened(frame, false);
  enqueue({.due = due, .order = order_++, .to = to, .frame = std::move(frame)});
}

void Network::depart(std::size_t from, wire::Frame frame) {
  ++packets_sent_;
  const std::optional<wire::TcpPacket> packet = read_packet(frame);
  const Faults& faults = faults_[from];
  auto fate = Sighting::Fate::kDelivered;
  if (wanted_lost(from, packet ? &*packet : nullptr) || chance(faults.loss)) {
    fate = Sighting::Fate::kLost;
  } else if (chance(faults.corrupt)) {
    fate = Sighting::Fate::kCorrupted;
  } else if (chance(faults.duplicate)) {
    fate = Sighting::Fate::kDuplicated;
  }
  // What is lost is lost behind the bottleneck.
  const std::optional<Duration> queued = pass_bottleneck(from, frame.size());
  if (!queued) fate = Sighting::Fate::kLost;
  if (tap_) tap_({from, clock_.now(), fate, packet ? &*packet : nullptr, &frame});
  if (fate == Sighting::Fate::kLost) return;

  if (meddler_) frame = meddled(from, frame);
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip) return;
  for (std::size_t to = 0; to < hosts_.size(); ++to) {
    if (address(to, ip->header.destination.family()) != ip->header.destination) continue;
    if (fate == Sighting::Fate::kCorrupted) frame = flattened(frame, true);
    if (fate == Sighting::Fate::kDuplicated) launch(from, to, *queued, frame.share());
    launch(from, to, *queued, std::move(frame));
    return;
  }
}

bool Network::collect_output() {
  bool any = false;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    while (const std::size_t n = hosts_[i]->stack->transmit(batch_, clock_.now())) {
      any = true;
      for (std::size_t k = 0; k < n; ++k) depart(i, std::move(batch_[k]));
    }
  }
  return any;
}

// Programs answer what they see, which makes packets, which changes what they see.
void Network::settle() {
  for (std::size_t rounds = 0;; ++rounds) {
    if (on_step_) on_step_();
    if (!collect_output()) return;
    if (rounds == kMostRoundsAtOnce) {
      livelocked_ = true;
      return;
    }
  }
}

Instant Network::next_time() const {
  Instant t = on_the_way_.empty() ? Instant::never() : on_the_way_.front().due;
  for (const auto& host : hosts_) t = std::min(t, host->stack->next_deadline());
  return t;
}

void Network::arrive_due() {
  std::vector<std::function<void()>> calls;
  while (!on_the_way_.empty() && on_the_way_.front().due <= clock_.now()) {
    std::pop_heap(on_the_way_.begin(), on_the_way_.end(), std::greater<>());
    Flight& flight = on_the_way_.back();
    if (flight.call) {
      calls.push_back(std::move(flight.call));
    } else {
      hosts_[flight.to]->arrived.push_back(std::move(flight.frame));
    }
    on_the_way_.pop_back();
  }
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (!hosts_[i]->arrived.empty()) hosts_[i]->stack->receive(hosts_[i]->arrived, clock_.now());
    hosts_[i]->arrived.clear();
    if (hosts_[i]->stack->next_deadline() <= clock_.now()) hosts_[i]->stack->advance(clock_.now());
  }
  for (const auto& call : calls) call();
}

bool Network::step(Instant end) {
  const Instant next = next_time();
  if (next.is_never() || next > end || livelocked_) return false;
  steps_without_time_ = next > clock_.now() ? 0 : steps_without_time_ + 1;
  if (steps_without_time_ > kMostRoundsAtOnce) {
    livelocked_ = true;
    return false;
  }
  clock_.advance_to(std::max(next, clock_.now()));
  arrive_due();
  settle();
  return true;
}

bool Network::run_until(const std::function<bool()>& predicate, Duration limit) {
  const Instant end = clock_.now() + limit;
  settle();
  while (!predicate()) {
    if (step(end)) continue;
    if (!end.is_never() && !livelocked_) clock_.advance_to(end);
    return false;
  }
  return true;
}

void Network::run_for(Duration d) {
  (void)run_until([] { return false; }, d);
}

bool Network::run_until_idle(std::size_t max_steps) {
  settle();
  for (std::size_t i = 0; i < max_steps; ++i) {
    if (!step(Instant::never())) return !livelocked_;
  }
  return false;
}

}  // namespace synfin::sim
