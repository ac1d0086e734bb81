// SPDX-License-Identifier: Apache-2.0
#include "synfin/packetdrill/gate.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <utility>

namespace synfin::packetdrill {

namespace {

// Real time, the only one here: how long the driving thread may be silent before a waiting call takes the
// clock into its own hands. At the end of a script the tool waits one real second for calls that wait, and
// moves nothing meanwhile.
constexpr auto kSilence = std::chrono::milliseconds(400);
// No thread that was woken is waited for longer; only one that never reads the time gets here.
constexpr auto kLongestRead = std::chrono::milliseconds(1000);

// "pid (name) state …": the name may hold anything, so the last bracket counts.
bool is_asleep(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t bracket = line.rfind(')');
  return bracket == std::string::npos || line.compare(bracket, 3, ") S") == 0;
}

}  // namespace

Instant Gate::next_moment() const {
  Instant next = host_.next_deadline();
  for (const Waiting& call : waiting_) {
    if (!call.ended) next = std::min(next, call.deadline);
  }
  return next;
}

void Gate::try_waiting() {
  for (Waiting& call : waiting_) {
    if (call.ended) continue;
    call.succeeded = call.attempt();
    host_.settle();
    call.ended = call.succeeded || call.deadline <= host_.now();
    if (!call.ended) continue;
    readers_.push_back(call.thread);
    caller_ = call.system_thread;
  }
  if (!readers_.empty()) ended_.notify_all();
}

void Gate::something_happened(Lock& lock) {
  ++activity_;
  if (waiting_.empty() && readers_.empty()) return;
  try_waiting();
  read_.wait_for(lock, kLongestRead, [this] { return readers_.empty(); });
  readers_.clear();
}

bool Gate::time_was_read() {
  if (readers_.remove(std::this_thread::get_id()) == 0) return false;
  read_.notify_all();
  return true;
}

void Gate::let_caller_finish(Lock& lock) {
  if (caller_ == 0 || !on_driver()) return;
  const int thread = std::exchange(caller_, 0);
  lock.unlock();
  const auto patience = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  // Twice in a row, as it may have been about to wake.
  for (int seen = 0; seen < 2 && std::chrono::steady_clock::now() < patience;) {
    seen = is_asleep(thread) ? seen + 1 : 0;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  lock.lock();
}

bool Gate::step(Lock& lock, Instant latest) {
  const Instant next = next_moment();
  if (next.is_never() || next > latest) return false;
  host_.run_to(std::max(next, host_.now()));
  something_happened(lock);
  return true;
}

void Gate::run_to(Lock& lock, Instant then) {
  while (step(lock, then)) {
  }
  if (then > host_.now()) host_.run_to(then);
  ++activity_;
}

bool Gate::wait(Lock& lock, const Attempt& attempt, Instant deadline) {
  if (attempt()) return true;
  if (on_driver()) {
    while (step(lock, deadline)) {
      if (attempt()) return true;
    }
    if (!deadline.is_never()) run_to(lock, deadline);
    return attempt();
  }
  const auto here = waiting_.insert(waiting_.end(), Waiting{attempt, deadline, std::this_thread::get_id(),
                                                            static_cast<int>(::syscall(SYS_gettid))});
  wait_alone(lock, *here);
  const bool succeeded = here->succeeded;
  waiting_.erase(here);
  return succeeded;
}

void Gate::wait_alone(Lock& lock, Waiting& call) {
  std::uint64_t seen = activity_;
  while (!ended_.wait_for(lock, kSilence, [&] { return call.ended; })) {
    if (activity_ != std::exchange(seen, activity_)) continue;
    // The driving thread is waiting for this call, so nobody moves the clock.
    while (!call.ended) {
      const Instant next = next_moment();
      if (next.is_never()) break;
      host_.run_to(std::max(next, host_.now()));
      try_waiting();
    }
    readers_.clear();
  }
}

}  // namespace synfin::packetdrill
