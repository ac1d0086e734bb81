// SPDX-License-Identifier: Apache-2.0
#include "synfin/runtime/error.h"

#include <boost/asio/error.hpp>

namespace synfin::tcp {

boost::system::error_code make_error_code(Error e) {
  // Asio's errors are errno values in the system category, and so are those that Asio has no name for.
  // Would-block is the exception: `to_errno` gives EAGAIN, which is the same value as EWOULDBLOCK on Linux
  // but need not be.
  if (e == Error::kWouldBlock) return boost::asio::error::would_block;
  return {to_errno(e), boost::system::system_category()};
}

}  // namespace synfin::tcp
