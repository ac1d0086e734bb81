// SPDX-License-Identifier: Apache-2.0
//
// For tests: two runtimes joined in memory, on one io_context, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "synfin/link/memory_link.h"
#include "synfin/runtime/runtime.h"

namespace synfin::runtime {

class TestPair {
 public:
  static constexpr wire::IpAddress kAddressA = wire::IpAddress::v4(10, 0, 0, 1);
  static constexpr wire::IpAddress kAddressB = wire::IpAddress::v4(10, 0, 0, 2);
  // And of the other family.
  const wire::IpAddress address_a6 = *wire::IpAddress::parse("fd00::1");
  const wire::IpAddress address_b6 = *wire::IpAddress::parse("fd00::2");

  explicit TestPair(std::size_t queue_frames = 4096, link::LinkInfo info = {})
      : TestPair(link::make_memory_pair(info, info, queue_frames)) {}

  /// Pumps both and runs handlers until nothing moves at this instant.
  void settle() {
    for (bool moved = true; moved;) {
      moved = a->pump();
      moved |= b->pump();
      io.restart();
      moved |= io.poll() != 0;
    }
  }
  /// Settles, and lets time pass from deadline to deadline, until `done`; false if that takes longer than
  /// `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit = Duration::seconds(60)) {
    const Instant end = now + limit;
    for (;;) {
      settle();
      if (done()) return true;
      const Instant next =
          std::max(std::min(a->next_deadline(), b->next_deadline()), now + Duration::milliseconds(1));
      if (next > end) return false;
      now = next;
    }
  }
  void pass(Duration time) {
    const Instant end = now + time;
    run_until([] { return false; }, time);
    now = end;
    settle();
  }

  Instant now = Instant::from_ns(1'000'000'000);
  boost::asio::io_context io;
  wire::BlockPool pool;
  SeededEntropy entropy_a{1};
  SeededEntropy entropy_b{2};
  std::unique_ptr<Runtime> a;
  std::unique_ptr<Runtime> b;

 private:
  explicit TestPair(std::pair<std::unique_ptr<link::MemoryLink>, std::unique_ptr<link::MemoryLink>> links) {
    a = make(std::move(links.first), {{kAddressA, 24}, {address_a6, 64}}, entropy_a, b);
    b = make(std::move(links.second), {{kAddressB, 24}, {address_b6, 64}}, entropy_b, a);
  }
  std::unique_ptr<Runtime> make(std::unique_ptr<link::Link> link, std::vector<wire::Prefix> addresses,
                                Entropy& entropy, std::unique_ptr<Runtime>& peer) {
    Options options;
    options.config.addresses = std::move(addresses);
    options.drive = Drive::kManual;
    options.pool = &pool;
    options.entropy = &entropy;
    options.clock = [this] { return now; };
    // A blocking call: the peer's turn, and where it has nothing to say either, time passes.
    options.wait = [this, &peer](Instant until) {
      if (peer->pump()) return;
      now = std::max(now + Duration::microseconds(1), std::min(until, peer->next_deadline()));
      ASSERT_FALSE(now.is_never()) << "a blocking call waits for nothing";
    };
    return std::make_unique<Runtime>(io, std::move(link), std::move(options));
  }
};

}  // namespace synfin::runtime
