// SPDX-License-Identifier: Apache-2.0
//
// What tcp.cpp and packet.cpp share: parsing and writing in place, and the octets behind the fixed TCP
// header.
#pragma once

#include <cstddef>
#include <expected>

#include "synfin/base/bytes.h"
#include "synfin/wire/header_writer.h"
#include "synfin/wire/parse_error.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// `parse_tcp` into a header that lies where it is to stay, default-constructed. Returns the header's size.
std::expected<std::size_t, ParseError> parse_tcp_into(Bytes bytes, std::size_t segment_size,
                                                      TcpHeader& header);

/// The same for a segment of at least the fixed header whose options are none, timestamps alone or those of a
/// usual SYN; 0, with the options as they were, for any other.
std::size_t read_usual_header(Bytes segment, TcpHeader& header);

/// Reads `bytes`, all that lies between the fixed header and the data, into `options`.
std::expected<void, ParseError> parse_tcp_options(Bytes bytes, TcpOptions& options);

/// 0 to 40, a multiple of 4.
std::size_t emitted_options_size(const TcpOptions& options);

/// Writes `emitted_options_size(options)` octets.
Written write_tcp_options(const TcpOptions& options, std::byte* out);

}  // namespace synfin::wire
