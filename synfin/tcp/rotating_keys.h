// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"

namespace synfin::tcp {

/// Two secrets for cookies: one that makes and checks, and its predecessor, which only checks. A key that was
/// drawn here serves for `life` and is honoured for as long again; keys that were set stay.
class RotatingKeys {
 public:
  RotatingKeys(Entropy& entropy, Duration life) : life_(life) {
    entropy.fill(current_);
    entropy.fill(previous_);
  }

  void set(const Key& current, const Key& previous) {
    current_ = current;
    previous_ = previous;
    fixed_ = true;
  }
  /// Whether `rotate_if_due` would change anything.
  bool due(Instant now) const { return !fixed_ && (drawn_ == Instant{} || now - drawn_ >= life_); }
  /// To be called before a cookie is made.
  void rotate_if_due(Instant now, Entropy& entropy) {
    if (fixed_) return;
    if (drawn_ == Instant{}) drawn_ = now;
    if (now - drawn_ < life_) return;
    // A key that slept through its whole second life is not to be honoured either.
    if (now - drawn_ < life_ * 2) {
      previous_ = current_;
    } else {
      entropy.fill(previous_);
    }
    entropy.fill(current_);
    drawn_ = now;
  }

  const Key& current() const { return current_; }
  const Key& previous() const { return previous_; }

 private:
  Key current_;
  Key previous_;
  Duration life_;
  Instant drawn_;
  bool fixed_ = false;
};

}  // namespace synfin::tcp
