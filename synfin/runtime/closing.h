// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "synfin/stack/stack.h"

namespace synfin::runtime {

/// The connections that the program has closed and the stack is still delivering: as long as there are any,
/// the program should not end.
class Closing {
 public:
  /// To be called after the connection was closed.
  void add(const wire::FourTuple& tuple, const stack::Stack& stack) {
    if (ended(tuple, stack)) return;
    tuples_.push_back(tuple);
    ++to_check_;
  }

  /// Forgets some of those that have ended. Looks at no more than a few more than were added since the last
  /// time, in turn: so the list stays about as long as the truth, and a call costs little however many there
  /// are.
  void check(const stack::Stack& stack) {
    constexpr std::size_t kExtra = 4;
    const std::size_t n = std::min(tuples_.size(), to_check_ + kExtra);
    to_check_ = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const wire::FourTuple tuple = tuples_.front();
      tuples_.pop_front();
      if (!ended(tuple, stack)) tuples_.push_back(tuple);
    }
  }

  bool empty() const { return tuples_.empty(); }

 private:
  // In TIME-WAIT, both sides' data and FINs have been acknowledged; what is left is to be polite.
  static bool ended(const wire::FourTuple& tuple, const stack::Stack& stack) {
    const trace::State state = stack.state_of(tuple);
    return state == trace::State::kClosed || state == trace::State::kTimeWait;
  }

  std::deque<wire::FourTuple> tuples_;
  std::size_t to_check_ = 0;
};

}  // namespace synfin::runtime
