// SPDX-License-Identifier: Apache-2.0
#include "pipe.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <vector>

namespace synfin::app {
namespace {

namespace asio = boost::asio;
constexpr std::size_t kChunk = 65536;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> send_input(tcp::socket& socket, StandardStreams& streams, std::span<const char> first,
                                 PipeResult& result) {
  std::vector<char> buffer(kChunk);
  for (std::span<const char> text = first;;) {
    if (text.empty()) text = std::span<const char>(buffer).first(co_await streams.read(buffer));
    if (text.empty()) break;
    const auto [error, sent] =
        co_await asio::async_write(socket, asio::buffer(text.data(), text.size()), kNoThrow);
    result.sent += sent;
    text = {};
    if (error) {
      // The peer's own end tells more than that it takes no more; the reading side reports it.
      if (error != asio::error::broken_pipe && !result.error) result.error = error;
      co_return;
    }
  }
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

asio::awaitable<void> print_output(tcp::socket& socket, StandardStreams& streams, PipeResult& result) {
  std::vector<char> buffer(kChunk);
  for (;;) {
    const auto [error, n] = co_await socket.async_read_some(asio::buffer(buffer), kNoThrow);
    if (error) {
      if (error != asio::error::eof) {
        result.error = error;
        streams.end_input();
      }
      co_return;
    }
    result.received += n;
    if (!co_await streams.write(std::span<const char>(buffer.data(), n))) {
      // Whoever read standard output is gone: nothing that still comes can be delivered.
      streams.end_input();
      co_return;
    }
  }
}

void signal_event(const link::FileDescriptor& event) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

}  // namespace

StandardStreams::StandardStreams()
    : input_stop_(eventfd(0, EFD_CLOEXEC)), output_stop_(eventfd(0, EFD_CLOEXEC)) {}

StandardStreams::~StandardStreams() {
  signal_event(input_stop_);
  signal_event(output_stop_);
  threads_.join();
}

void StandardStreams::end_input() {
  signal_event(input_stop_);
}

bool StandardStreams::wait_for(int fd, short events, const link::FileDescriptor& stop) {
  std::array<pollfd, 2> wanted{pollfd{fd, events, 0}, pollfd{stop.get(), POLLIN, 0}};
  while (poll(wanted.data(), wanted.size(), -1) < 0) {
    if (errno != EINTR) return false;
  }
  return wanted[1].revents == 0;
}

asio::awaitable<std::size_t> StandardStreams::read(std::span<char> into) {
  const auto blocking = [this, into]() -> asio::awaitable<std::size_t> {
    if (!wait_for(STDIN_FILENO, POLLIN, input_stop_)) co_return 0;
    ssize_t n = -1;
    do {
      n = ::read(STDIN_FILENO, into.data(), into.size());
    } while (n < 0 && errno == EINTR);
    co_return n > 0 ? static_cast<std::size_t>(n) : 0;
  };
  co_return co_await asio::co_spawn(threads_, blocking, asio::use_awaitable);
}

asio::awaitable<bool> StandardStreams::write(std::span<const char> from) {
  const auto blocking = [this, from]() -> asio::awaitable<bool> {
    // A pipe that is ready takes this much without blocking, so the end of the program is always heard.
    constexpr std::size_t kPipeWrite = 4096;
    for (std::size_t done = 0; done < from.size();) {
      if (!wait_for(STDOUT_FILENO, POLLOUT, output_stop_)) co_return false;
      const ssize_t n = ::write(STDOUT_FILENO, from.data() + done, std::min(kPipeWrite, from.size() - done));
      if (n < 0 && errno != EINTR && errno != EAGAIN) co_return false;
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    co_return true;
  };
  co_return co_await asio::co_spawn(threads_, blocking, asio::use_awaitable);
}

asio::awaitable<PipeResult> pipe_standard_streams(tcp::socket& socket, StandardStreams& streams,
                                                  std::span<const char> first) {
  using asio::experimental::awaitable_operators::operator&&;
  PipeResult result;
  co_await (send_input(socket, streams, first, result) && print_output(socket, streams, result));
  co_return result;
}

}  // namespace synfin::app
