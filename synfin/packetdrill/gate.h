// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "synfin/packetdrill/virtual_host.h"

namespace synfin::packetdrill {

/// Calls that wait, in a world whose time only moves when somebody moves it.
///
/// The tool has two threads. The one that drives the script (the one that made the gate) injects packets and
/// moves the clock; calls that the script expects to wait are made on the other, which must be asleep
/// meanwhile (until the moment of such a call it is that thread that moves the clock). Here the driving
/// thread also tries the waiting calls, at every moment at which they could succeed, so that they end exactly
/// then; and it holds the clock until the thread that it woke has read the time at which its call ended.
class Gate {
 public:
  explicit Gate(VirtualHost& host) : host_(host), driver_(std::this_thread::get_id()) {}

  std::mutex& mutex() { return mutex_; }
  using Lock = std::unique_lock<std::mutex>;

  /// Says whether the call has ended.
  using Attempt = std::function<bool()>;
  /// Waits until `attempt` succeeds or the clock reaches `deadline`; false for the latter. On the driving
  /// thread, which nobody else could wake, time passes instead, as far as anything is going to happen: false
  /// where nothing is.
  bool wait(Lock& lock, const Attempt& attempt, Instant deadline);

  /// Behind everything that may let a waiting call succeed, on the driving thread.
  void something_happened(Lock& lock);
  /// Moves the clock and ends waiting calls at their time.
  void run_to(Lock& lock, Instant then);
  /// Moves the clock to the next moment at which anything happens by itself, `latest` at most; false where
  /// that moment is past `latest` or never comes.
  bool step(Lock& lock, Instant latest);

  /// The calling thread reads the clock: whether the clock was held for it.
  bool time_was_read();
  /// Waits, in real time and not for long, until the thread whose call ended last sleeps again: it has told
  /// the tool of the result by then. Only where the driving thread holds nothing that the other needs.
  void let_caller_finish(Lock& lock);
  bool on_driver() const { return std::this_thread::get_id() == driver_; }

 private:
  struct Waiting {
    const Attempt& attempt;
    Instant deadline;
    std::thread::id thread;
    int system_thread = 0;
    bool ended = false;
    bool succeeded = false;
  };

  void try_waiting();
  Instant next_moment() const;
  void wait_alone(Lock& lock, Waiting& call);

  VirtualHost& host_;
  std::thread::id driver_;
  std::mutex mutex_;
  std::condition_variable ended_;  // for those who wait
  std::condition_variable read_;   // for the driving thread
  std::list<Waiting> waiting_;
  std::list<std::thread::id> readers_;  // whose calls ended, and who have not read the time yet
  std::uint64_t activity_ = 0;
  int caller_ = 0;  // the system's name for the thread whose call ended, until it was seen asleep
};

}  // namespace synfin::packetdrill
