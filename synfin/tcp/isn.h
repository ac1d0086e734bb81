// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/wire/address.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// Initial sequence numbers and timestamp offsets that nobody outside can predict. Keyed functions of their
/// arguments: nothing is remembered about a connection.
class IsnGenerator {
 public:
  /// Draws its keys from `entropy`, which is not used afterwards.
  explicit IsnGenerator(Entropy& entropy);
  /// With keys that were set; they must differ from each other and from every other key of the stack.
  IsnGenerator(const Key& isn_key, const Key& timestamp_key);

  /// RFC 6528 §3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), M a clock of 4 µs. For
  /// one 4-tuple it rises with time, so that a new connection begins behind what an old one has sent (once
  /// around in 4.77 hours); for another 4-tuple it says nothing.
  wire::SeqNum next(const wire::FourTuple& tuple, Instant now) const;

  /// What is added to the clock in TSval (RFC 7323 §5.4). One for a pair of addresses, whatever the ports: so
  /// timestamps rise from one connection to the next between two hosts, as reuse of a 4-tuple in TIME-WAIT
  /// (RFC 6191) needs.
  std::uint32_t timestamp_offset(const wire::FourTuple& tuple) const;

 private:
  Key isn_key_;
  Key timestamp_key_;
};

}  // namespace synfin::tcp
