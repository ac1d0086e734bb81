// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// The User Timeout option (RFC 5482).

/// As on the wire (§3): 15 bits of seconds, or of minutes with the highest bit. Rounded up; at least 1 s, as
/// "a value of zero … MUST NOT be sent", and at most 32,767 minutes.
std::uint16_t encode_user_timeout(Duration timeout);
/// Zero: not a time, to be ignored.
Duration decode_user_timeout(std::uint16_t field);
/// USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))  (§3.1)
Duration agreed_user_timeout(Duration advertised, Duration remote);

}  // namespace synfin::tcp
