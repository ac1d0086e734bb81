// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

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

class Client {
 public:
  explicit Client(const ConnectOptions& options)
      : remote_{parse_host(options.host), parse_port(options.port)},
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
  asio::awaitable<void> talk();
  void stop();

  wire::Endpoint remote_;
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
    const auto [error] = co_await socket_.async_connect(remote_, kNoThrow);
    const bool again = error == asio::error::connection_refused && run_.has_command() && !stopping_ &&
                       std::chrono::steady_clock::now() < give_up_at;
    if (!again) co_return error;
    pause.expires_after(kRetryEvery);
    co_await pause.async_wait(kNoThrow);
  }
}

asio::awaitable<void> Client::talk() {
  boost::system::error_code error = co_await connect();
  if (!error) {
    connected_ = true;
    result_ = co_await pipe_standard_streams(socket_, streams_);
    error = result_.error;
    socket_.close();
  }
  done_ = true;
  if (error && !stopping_) {
    complain(failure_line(remote_.to_string(), error, last_words_.reason()));
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
