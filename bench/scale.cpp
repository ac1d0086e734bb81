// SPDX-License-Identifier: Apache-2.0
//
// One shard and two: a thread, a core and a pair of stacks each, which share nothing.
#include <fmt/format.h>

#include <array>
#include <barrier>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "benchmark.h"
#include "lives.h"
#include "machine.h"
#include "stream.h"

namespace synfin::bench {
namespace {

constexpr std::size_t kShards = 2;
/// One shard on the one core, on the other, and both: so often in turn, so long each.
constexpr int kRounds = 5;
constexpr double kSliceSeconds = 0.2;

/// What a shard does: some of it, and how much that was.
using Work = std::function<double()>;
/// Made on the shard's own thread, warm.
using MakeWork = std::function<Work(std::uint64_t seed)>;

class Shards {
 public:
  Shards(const std::vector<int>& cores, const MakeWork& make, std::uint64_t seed, double slice)
      : slice_(slice) {
    for (std::size_t n = 0; n < kShards; ++n) {
      threads_[n] = std::thread{[this, n, make, core = cores[n], seed] {
        shards_[n].pinned = stay_on_core(core);
        const Work work = make(seed + n);
        barrier_.arrive_and_wait();  // all are warm
        while (true) {
          barrier_.arrive_and_wait();
          if (end_) return;
          if ((active_ & 1u << n) != 0) run(work, shards_[n]);
          barrier_.arrive_and_wait();
        }
      }};
    }
    barrier_.arrive_and_wait();
  }
  ~Shards() {
    end_ = true;
    barrier_.arrive_and_wait();
    for (std::thread& t : threads_) t.join();
  }
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  /// Work a second of those in `active`, together.
  double rate(unsigned active) {
    active_ = active;
    barrier_.arrive_and_wait();
    barrier_.arrive_and_wait();
    double sum = 0;
    for (std::size_t n = 0; n < kShards; ++n) {
      if ((active & 1u << n) != 0) sum += shards_[n].rate;
    }
    return sum;
  }
  bool pinned() const { return shards_[0].pinned && shards_[1].pinned; }
  std::uint64_t taken_away() const { return shards_[0].taken_away + shards_[1].taken_away; }

 private:
  struct alignas(128) Shard {  // neighbours' lines are fetched in pairs
    double rate = 0;
    std::uint64_t taken_away = 0;
    bool pinned = false;
  };

  void run(const Work& work, Shard& into) const {
    using Clock = std::chrono::steady_clock;
    const std::uint64_t before = preemptions();
    const Clock::time_point begin = Clock::now();
    double done = 0, seconds = 0;
    do {
      done += work();
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (seconds < slice_);
    into.rate = done / seconds;
    into.taken_away += preemptions() - before;
  }

  double slice_;
  std::barrier<> barrier_{kShards + 1};
  unsigned active_ = 0;  // written before a barrier, read behind it; as is `end_`
  bool end_ = false;
  std::array<Shard, kShards> shards_;
  std::array<std::thread, kShards> threads_;
};

Sample run_scale(const MakeWork& make, const Run& run) {
  Sample sample;
  const std::vector<int> cores = allowed_cores();
  if (cores.size() < kShards) {
    sample.skipped = "this process may use one core only";
    return sample;
  }
  Shards shards{cores, make, run.seed, kSliceSeconds * run.scale};
  std::array<double, kShards> one{};
  double two = 0;
  for (int n = 0; n < kRounds; ++n) {
    one[0] += shards.rate(1) / kRounds;
    two += shards.rate(3) / kRounds;
    one[1] += shards.rate(2) / kRounds;
  }
  const double each = (one[0] + one[1]) / 2;
  sample.value = two / each;
  sample.extra = {{"one shard", each},
                  {"two shards", two},
                  {"by core", {{fmt::format("{}", cores[0]), one[0]}, {fmt::format("{}", cores[1]), one[1]}}},
                  {"preempted", shards.taken_away()}};
  if (!shards.pinned()) sample.problem = "a thread could not be kept on its core";
  return sample;
}

Work make_lives(std::uint64_t seed) {
  auto lives = std::make_shared<Lives>(Population{.time_wait = 16'384}, seed);
  lives->populate();
  return [lives] { return static_cast<double>(lives->one_group()); };
}

Work make_stream(std::uint64_t seed) {
  constexpr std::uint64_t kPiece = 1 << 20;
  auto stream = std::make_shared<Stream>(1500, 1 << 20, seed);
  (void)stream->pass(kPiece * 20);
  return [stream] { return static_cast<double>(stream->pass(kPiece)) * 8 / 1e9; };
}

Case scale_case(std::string name, std::string description, const MakeWork& make) {
  Case c{.name = std::move(name), .description = std::move(description), .unit = "x"};
  c.run = [make](const Run& run) { return run_scale(make, run); };
  return c;
}

}  // namespace

Benchmark scale() {
  return {"scale",
          "what two shards do, each on a core of its own, as a multiple of one",
          {scale_case("lifecycle", "lives a second", make_lives),
           scale_case("bulk", "Gbit/s of a stream each, MTU 1,500", make_stream)}};
}

}  // namespace synfin::bench
