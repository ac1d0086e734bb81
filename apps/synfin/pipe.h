// SPDX-License-Identifier: Apache-2.0
//
// Standard input and output beside a connection, as `nc` has them.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <span>

#include "synfin/link/file_descriptor.h"
#include "synfin/socket/socket.h"

namespace synfin::app {

/// Reads and writes standard streams on threads of their own: they may be terminals, files or pipes that
/// other processes share, and making those non-blocking would change them for everybody.
class StandardStreams {
 public:
  StandardStreams();
  ~StandardStreams();
  StandardStreams(const StandardStreams&) = delete;
  StandardStreams& operator=(const StandardStreams&) = delete;

  /// How many octets of standard input; 0 at its end, on an error and after `stop`.
  boost::asio::awaitable<std::size_t> read(std::span<char> into);
  /// False where standard output no longer takes any.
  boost::asio::awaitable<bool> write(std::span<const char> from);
  /// Reads come back with 0 from now on.
  void end_input();

 private:
  /// False once `stop`, an eventfd, has been written to.
  static bool wait_for(int fd, short events, const link::FileDescriptor& stop);
  link::FileDescriptor input_stop_, output_stop_;
  boost::asio::thread_pool threads_{2};
};

/// What one connection moved.
struct PipeResult {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  /// What ended it; none where both ends closed in order.
  boost::system::error_code error;
};

/// Standard input goes into the connection, its end becomes a FIN; what the peer sends goes to standard
/// output until the peer's FIN. Returns once both directions have ended, or one has failed.
/// `first` has been read from standard input already and goes before the rest.
boost::asio::awaitable<PipeResult> pipe_standard_streams(tcp::socket& socket, StandardStreams& streams,
                                                         std::span<const char> first = {});

}  // namespace synfin::app
