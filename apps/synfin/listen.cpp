// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <optional>

#include "failure.h"
#include "lab_run.h"
#include "last_words.h"
#include "pipe.h"
#include "synfin/socket/acceptor.h"
#include "verbs.h"

namespace synfin::app {
namespace {

namespace asio = boost::asio;

/// Takes the first connection to come, on any of its addresses, and no other.
class Listener {
 public:
  explicit Listener(const ListenOptions& options);
  int run();

 private:
  asio::awaitable<void> accept_one(tcp::acceptor& acceptor);
  void close_acceptors();

  LastWords last_words_;
  std::uint16_t port_;
  LabRun run_;
  std::list<tcp::acceptor> acceptors_;
  std::optional<tcp::socket> socket_;
  PipeResult result_;
  bool stopping_ = false;
  bool done_ = false;
  // Last, so that its threads end while what they use is still there.
  StandardStreams streams_;
};

Listener::Listener(const ListenOptions& options)
    : port_(parse_port(options.port)), run_(options.link, &last_words_) {
  for (const wire::Prefix& own : run_.runtime().stack().config().addresses) {
    tcp::acceptor& acceptor = acceptors_.emplace_back(run_.runtime());
    boost::system::error_code error;
    acceptor.listen({own.address, port_}, 1, error);
    if (error) network_failure("listening on " + wire::Endpoint{own.address, port_}.to_string(), error);
    asio::co_spawn(run_.context(), accept_one(acceptor), asio::detached);
  }
  run_.on_stop([this] {
    stopping_ = true;
    close_acceptors();
    streams_.end_input();
  });
  run_.while_busy([this] { return socket_ && !done_; });
}

void Listener::close_acceptors() {
  boost::system::error_code ignored;
  for (tcp::acceptor& acceptor : acceptors_) acceptor.close(ignored);
}

asio::awaitable<void> Listener::accept_one(tcp::acceptor& acceptor) {
  auto [error, accepted] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
  if (error || socket_) co_return;
  socket_.emplace(std::move(accepted));
  const wire::Endpoint remote = socket_->remote_endpoint();
  close_acceptors();
  result_ = co_await pipe_standard_streams(*socket_, streams_);
  socket_->close();
  done_ = true;
  if (result_.error && !stopping_) {
    complain(failure_line(remote.to_string(), result_.error, last_words_.reason()));
    run_.stop(kNetworkFailure);
  } else if (!run_.has_command()) {
    run_.stop(kSuccess);
  }
}

int Listener::run() {
  return run_.run(Child::Input::kNone, [this] {
    return fmt::format("{} octets sent, {} received", result_.sent, result_.received);
  });
}

}  // namespace

int run_listen(const ListenOptions& options) {
  Listener listener(options);
  return listener.run();
}

}  // namespace synfin::app
