// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "failure.h"
#include "lab_run.h"
#include "last_words.h"
#include "pipe.h"
#include "verbs.h"

namespace synfin::app {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
/// A server that was started beside this program needs a moment until it listens.
constexpr std::chrono::seconds kRetryFor{5};
constexpr std::chrono::milliseconds kRetryEvery{50};
constexpr std::size_t kRead = 65536;

class Client {
 public:
  explicit Client(const ConnectOptions& options)
      : remote_{parse_host(options.host), parse_port(options.port)},
        fast_open_(options.fast_open),
        repeat_(options.repeat),
        run_(options.link, &last_words_),
        socket_(run_.runtime()) {
    run_.on_stop([this] { stop(); });
    run_.while_busy([this] { return !done_; });
  }
  int run() {
    asio::co_spawn(run_.context(), talk(), asio::detached);
    return run_.run(Child::Input::kNone, [this] {
      return fmt::format("{} octets sent, {} received", result_.sent, result_.received);
    });
  }

 private:
  asio::awaitable<boost::system::error_code> connect();
  asio::awaitable<boost::system::error_code> connect_once();
  asio::awaitable<boost::system::error_code> converse();
  asio::awaitable<void> read_ahead();
  std::string failure(const boost::system::error_code& error);
  asio::awaitable<void> talk();
  void stop();

  wire::Endpoint remote_;
  bool fast_open_;
  std::uint32_t repeat_;
  /// What was read from standard input before the SYN, and how much of it has been queued with it.
  std::vector<char> first_;
  std::size_t queued_ = 0;
  LastWords last_words_;
  LabRun run_;
  tcp::socket socket_;
  PipeResult result_;
  bool connected_ = false;
  bool stopping_ = false;
  bool done_ = false;
  // Last, so that its threads end while what they use is still there.
  StandardStreams streams_;
};

asio::awaitable<boost::system::error_code> Client::connect() {
  const auto give_up_at = std::chrono::steady_clock::now() + kRetryFor;
  asio::steady_timer pause(run_.context());
  for (;;) {
    if (stopping_) co_return asio::error::operation_aborted;
    const boost::system::error_code error = co_await connect_once();
    const bool again = error == asio::error::connection_refused && run_.has_command() && !stopping_ &&
                       std::chrono::steady_clock::now() < give_up_at;
    if (!again) co_return error;
    pause.expires_after(kRetryEvery);
    co_await pause.async_wait(kNoThrow);
  }
}

/// For Fast Open what there is to begin with; to be repeated, everything.
asio::awaitable<void> Client::read_ahead() {
  if (!fast_open_ && repeat_ == 1) co_return;
  std::vector<char> buffer(kRead);
  while (const std::size_t n = co_await streams_.read(buffer)) {
    first_.insert(first_.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    if (repeat_ == 1) break;
  }
}

asio::awaitable<boost::system::error_code> Client::connect_once() {
  boost::system::error_code result;
  asio::steady_timer done(run_.context(), asio::steady_timer::time_point::max());
  socket_.async_connect(remote_, [&](const boost::system::error_code& error) {
    result = error;
    done.cancel();
  });
  // The SYN leaves when this handler has returned, with what is queued by then.
  boost::system::error_code not_open;
  queued_ = fast_open_ && !first_.empty() ? socket_.write_some(asio::buffer(first_), not_open) : 0;
  co_await done.async_wait(kNoThrow);
  co_return result;
}

std::string Client::failure(const boost::system::error_code& error) {
  // No local address was asked for, so it can only be the ports that are missing.
  if (error == boost::system::errc::address_not_available) {
    const stack::PortUse use =
        run_.runtime().stack().port_use(run_.own_address(remote_.address.family()), remote_);
    return no_ports_line("connect " + remote_.to_string(), use);
  }
  return failure_line(remote_.to_string(), error, last_words_.reason());
}

/// One connection from SYN to FIN.
asio::awaitable<boost::system::error_code> Client::converse() {
  connected_ = false;
  boost::system::error_code error = co_await connect();
  if (error) co_return error;
  connected_ = true;
  const auto rest = std::span<const char>(first_).subspan(queued_);
  const PipeResult result = co_await pipe_standard_streams(socket_, streams_, rest);
  result_.sent += queued_ + result.sent;
  result_.received += result.received;
  socket_.close();
  co_return result.error;
}

asio::awaitable<void> Client::talk() {
  socket_.set_option(tcp::socket::fast_open{fast_open_});
  co_await read_ahead();
  boost::system::error_code error;
  for (std::uint32_t i = 0; i < repeat_ && !error && !stopping_; ++i) error = co_await converse();
  done_ = true;
  if (error && !stopping_) {
    complain(failure(error));
    run_.stop(kNetworkFailure);
  } else {
    run_.stop(kSuccess);
  }
}

void Client::stop() {
  stopping_ = true;
  if (!connected_) socket_.cancel();
  // The end of standard input is a FIN; what the peer still has to say is written out.
  streams_.end_input();
}

}  // namespace

int run_connect(const ConnectOptions& options) {
  Client client(options);
  return client.run();
}

}  // namespace synfin::app
