// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/wire/address.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// Initial sequence numbers that nobody outside can predict. A keyed function of its arguments: nothing is
/// remembered about a connection.
class IsnGenerator {
 public:
  /// Draws its key from `entropy`, which is not used afterwards.
  explicit IsnGenerator(Entropy& entropy);
  /// With a key that was set; it must differ from every other key of the stack.
  explicit IsnGenerator(const Key& key) : key_(key) {}

  /// RFC 6528 §3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), M a clock of 4 µs. For
  /// one 4-tuple it rises with time, so that a new connection begins behind what an old one has sent (once
  /// around in 4.77 hours); for another 4-tuple it says nothing.
  wire::SeqNum next(const wire::FourTuple& tuple, Instant now) const;

 private:
  Key key_;
};

}  // namespace synfin::tcp
