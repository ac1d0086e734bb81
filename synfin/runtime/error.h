// SPDX-License-Identifier: Apache-2.0
//
// Errors of the stack as programs on Asio and Beast know them.
#pragma once

#include <boost/system/error_code.hpp>
#include <type_traits>

#include "synfin/tcp/error.h"

namespace synfin::tcp {

/// The error code that a kernel socket would have given for the same: `connection_refused`,
/// `connection_reset`, `timed_out`, … with the values of `boost::asio::error`, so that programs compare with
/// those. kStackShutdown is `operation_aborted`. The end of a stream is no Error of the stack; sockets report
/// it as `boost::asio::error::eof`.
boost::system::error_code make_error_code(Error e);

}  // namespace synfin::tcp

template <>
struct boost::system::is_error_code_enum<synfin::tcp::Error> : std::true_type {};
