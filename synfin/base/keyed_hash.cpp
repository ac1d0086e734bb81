// SPDX-License-Identifier: Apache-2.0
#include "synfin/base/keyed_hash.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include <cstring>

namespace synfin {

static_assert(crypto_shorthash_siphash24_KEYBYTES == sizeof(Key));
static_assert(crypto_shorthash_siphash24_BYTES == sizeof(std::uint64_t));

std::uint64_t keyed_hash(const Key& key, Bytes message) {
  std::uint64_t out;
  crypto_shorthash_siphash24(reinterpret_cast<unsigned char*>(&out),
                             reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                             reinterpret_cast<const unsigned char*>(key.data()));
  return out;
}

}  // namespace synfin
