// SPDX-License-Identifier: Apache-2.0
//
// The octets behind the fixed TCP header. Used by tcp.cpp only.
#pragma once

#include <cstddef>
#include <expected>

#include "synfin/base/bytes.h"
#include "synfin/wire/parse_error.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// Reads `bytes`, all that lies between the fixed header and the data, into `options`.
std::expected<void, ParseError> parse_tcp_options(Bytes bytes, TcpOptions& options);

/// 0 to 40, a multiple of 4.
std::size_t emitted_options_size(const TcpOptions& options);

/// Writes `emitted_options_size(options)` octets and returns that number.
std::size_t emit_tcp_options(const TcpOptions& options, std::byte* out);

}  // namespace synfin::wire
