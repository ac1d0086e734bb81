// SPDX-License-Identifier: Apache-2.0
//
// One piece of work between a program on the kernel's sockets and a far end behind a device, in a process and
// networks of their own, of which nothing is left behind.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "synfin/link/lab.h"

namespace synfin::bench {

enum class TunWay : std::uint8_t {
  kReceive,  // one stream, the kernel's program writes
  kSend,     // one stream, the kernel's program reads
  kLives,    // connections one after another, 32 side by side: the kernel opens, the far end closes first
};

/// Who answers at the far end.
enum class TunFar : std::uint8_t {
  kSynfin,
  kSynfinShared,   // the same, the program taking and giving slices instead of copies
  kNothing,        // acknowledges what comes, sends what the window allows, and does nothing else
  kNothingCopied,  // the same, copying what it sends from one buffer into another before
  kKernel,         // the kernel in another network, over a veth pair
};

struct TunWork {
  TunWay way = TunWay::kReceive;
  /// Whether division and checksums are left to the device.
  bool offload = true;
  /// Octets or lives.
  std::uint64_t count = 0;
  std::uint64_t seed = 1;
};

struct TunFigures {
  std::uint64_t count = 0;
  double seconds = 0;
  /// Of the thread of the far end, and of the kernel's program; what the kernel does for one of them by the
  /// way is counted as its.
  double far_cpu = 0;
  double kernel_cpu = 0;
  /// How often the far end was made to wait for another process.
  std::uint64_t preempted = 0;
};

struct TunFailure {
  std::string why;
  /// What this machine does not allow or have; otherwise something broke.
  bool unavailable = false;
};

std::expected<TunFigures, TunFailure> run_over_device(TunFar far, const TunWork& work);

// For the parts of it.

inline constexpr std::uint32_t kTunMtu = 1500;
inline constexpr std::uint16_t kTunPort = 7070;
/// The far end has as many addresses, from 10.77.0.2 on: a client with one address has but so many ports.
inline constexpr std::uint32_t kTunAddresses = 16;
inline constexpr std::size_t kTunSideBySide = 32;
/// What programs write and read at once.
inline constexpr std::size_t kTunPiece = 64 * 1024;

/// Counts at the end where things arrive. The first twentieth is not measured.
class TunMeter {
 public:
  explicit TunMeter(std::uint64_t count) : warm_up_(count / 20), wanted_(count + warm_up_) {}
  /// Each thread for itself, before anything is sent.
  void set_far_clock();
  void set_kernel_clock();
  /// So many more; true: that was all.
  bool add(std::uint64_t more) {
    arrived_ += more;
    if (arrived_ < next_) return false;
    return pass();
  }
  bool complete() const { return complete_.load(std::memory_order_relaxed); }
  /// Lets all ends go before everything has arrived.
  void give_up() { complete_.store(true, std::memory_order_relaxed); }
  TunFigures figures() const;

 private:
  struct Moment {
    std::uint64_t arrived = 0;
    double wall = 0, far = 0, kernel = 0;
  };
  bool pass();
  Moment now() const;

  std::uint64_t warm_up_, wanted_;
  std::uint64_t arrived_ = 0;
  std::uint64_t next_ = warm_up_;
  std::atomic<clockid_t> far_clock_{}, kernel_clock_{};
  Moment begin_, end_;
  bool begun_ = false;
  std::atomic<bool> complete_ = false;
};

/// To be called by a far end once it listens.
using Ready = std::function<void()>;

/// The kernel's program; returns what went wrong. In a thread of its own.
std::string run_kernel_program(const TunWork& work, TunMeter& meter);
/// The far ends; each returns what went wrong.
std::string run_synfin(const TunWork& work, TunMeter& meter, link::Lab lab, wire::BlockPool& pool,
                       bool shared, const Ready& ready);
std::string run_nothing(const TunWork& work, TunMeter& meter, const link::Lab& lab, bool copied,
                        const Ready& ready);
/// In the network of the calling thread.
std::string run_kernel_far(const TunWork& work, TunMeter& meter, const Ready& ready);

/// The first processor this process may use, or the second where there is one.
void stay_on_processor(std::size_t which);

}  // namespace synfin::bench
