// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <list>
#include <optional>

#include "failure.h"
#include "http.h"
#include "lab_run.h"
#include "pages.h"
#include "synfin/socket/acceptor.h"
#include "verbs.h"

namespace synfin::app {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

class Server {
 public:
  explicit Server(const ServeOptions& options);
  int run();

 private:
  struct Connection {
    tcp::socket socket;
    HttpSession* http = nullptr;
  };

  asio::awaitable<void> accept_all(tcp::acceptor& acceptor);
  asio::awaitable<void> serve(std::list<Connection>::iterator at);
  asio::awaitable<void> echo(tcp::socket& socket);
  asio::awaitable<void> discard(tcp::socket& socket);
  asio::awaitable<void> chargen(tcp::socket& socket);
  void listen(const wire::IpAddress& address, std::uint16_t port);
  void set_listen_options(const tcp::acceptor& acceptor);
  void stop();
  std::string summary() const;

  const ServeOptions& options_;
  std::uint16_t port_;
  std::optional<ServedDirectory> directory_;
  HttpService http_;
  HttpTotals totals_;
  std::uint64_t accepted_ = 0;
  std::uint64_t octets_ = 0;
  LabRun run_;
  std::list<tcp::acceptor> acceptors_;
  std::list<Connection> connections_;
};

Server::Server(const ServeOptions& options)
    : options_(options),
      port_(parse_port(options.port)),
      directory_(options.directory.empty() ? std::nullopt
                                           : std::make_optional<ServedDirectory>(options.directory)),
      run_(options.link) {
  http_.directory = directory_ ? &*directory_ : nullptr;
  http_.close_first = options.close_first;
  http_.sink = options.service == "sink";
  http_.page = [](const tcp::socket& socket) { return built_in_page(socket); };
  constexpr std::uint32_t kAsServer = 2;  // bit of tcp_fastopen
  if (options.fast_open > 0 && (run_.runtime().stack().config().settings.tcp_fastopen & kAsServer) == 0) {
    wrong_use(fmt::format("--fast-open {}", options.fast_open),
              "Fast Open is off for servers; give --set tcp_fastopen=3 as well");
  }
  for (const wire::Prefix& own : run_.runtime().stack().config().addresses) listen(own.address, port_);
  run_.on_stop([this] { stop(); });
}

void Server::listen(const wire::IpAddress& address, std::uint16_t port) {
  tcp::acceptor& acceptor = acceptors_.emplace_back(run_.runtime());
  boost::system::error_code error;
  const int backlog =
      options_.backlog ? static_cast<int>(*options_.backlog) : tcp::acceptor::max_listen_connections;
  acceptor.listen({address, port}, backlog, error);
  if (error) network_failure("listening on " + wire::Endpoint{address, port}.to_string(), error);
  set_listen_options(acceptor);
  if (!options_.no_accept) asio::co_spawn(run_.context(), accept_all(acceptor), asio::detached);
}

/// What Asio's acceptors have no word for.
void Server::set_listen_options(const tcp::acceptor& acceptor) {
  stack::Stack& stack = run_.runtime().stack();
  auto wanted = stack.listen_options(acceptor.native_handle());
  if (!wanted) network_failure("listening", tcp::message(wanted.error()));
  wanted->defer_accept = Duration::seconds(options_.defer_accept);
  wanted->fast_open = options_.fast_open;
  const auto set = stack.set_listen_options(acceptor.native_handle(), *wanted);
  if (!set) network_failure("listening", tcp::message(set.error()));
}

asio::awaitable<void> Server::accept_all(tcp::acceptor& acceptor) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kNoThrow);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) continue;
    ++accepted_;
    const auto at = connections_.insert(connections_.end(), Connection{std::move(socket)});
    asio::co_spawn(run_.context(), serve(at), asio::detached);
  }
}

asio::awaitable<void> Server::serve(std::list<Connection>::iterator at) {
  tcp::socket& socket = at->socket;
  // Answers are written whole; waiting for more to send with them would only delay their end.
  boost::system::error_code ignored;
  socket.set_option(tcp::socket::no_delay(true), ignored);
  if (options_.service == "echo") {
    co_await echo(socket);
  } else if (options_.service == "discard") {
    co_await discard(socket);
  } else if (options_.service == "chargen") {
    co_await chargen(socket);
  } else {
    HttpSession session(socket, http_, totals_);
    at->http = &session;
    co_await session.run();
    // What the client still sends is taken, or closing would reset the connection and the answer could be
    // lost.
    if (socket.is_open()) co_await discard(socket);
  }
  connections_.erase(at);
}

/// RFC 862.
asio::awaitable<void> Server::echo(tcp::socket& socket) {
  std::vector<char> buffer(65536);
  for (;;) {
    const auto [error, n] = co_await socket.async_read_some(asio::buffer(buffer), kNoThrow);
    if (error) break;
    octets_ += n;
    const auto [failed, written] =
        co_await asio::async_write(socket, asio::buffer(buffer.data(), n), kNoThrow);
    if (failed) break;
  }
}

/// RFC 863.
asio::awaitable<void> Server::discard(tcp::socket& socket) {
  std::vector<char> buffer(65536);
  for (;;) {
    const auto [error, n] = co_await socket.async_read_some(asio::buffer(buffer), kNoThrow);
    if (error) break;
    octets_ += n;
  }
}

/// RFC 864: lines of 72 characters, each begun one character later.
asio::awaitable<void> Server::chargen(tcp::socket& socket) {
  constexpr std::size_t kLine = 72, kFirst = 32, kCharacters = 95;
  std::string lines;
  for (std::size_t line = 0; line < kCharacters; ++line) {
    for (std::size_t i = 0; i < kLine; ++i) lines += static_cast<char>(kFirst + (line + i) % kCharacters);
    lines += "\r\n";
  }
  for (;;) {
    const auto [error, n] = co_await asio::async_write(socket, asio::buffer(lines), kNoThrow);
    octets_ += n;
    if (error) break;
  }
}

void Server::stop() {
  boost::system::error_code ignored;
  for (tcp::acceptor& acceptor : acceptors_) acceptor.close(ignored);
  for (Connection& connection : connections_) {
    if (connection.http != nullptr) connection.http->finish();
    connection.socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
}

std::string Server::summary() const {
  const char* plural = accepted_ == 1 ? "" : "s";
  if (options_.service == "http" || options_.service == "sink") {
    return fmt::format("served {} request{} on {} connection{}", totals_.requests,
                       totals_.requests == 1 ? "" : "s", accepted_, plural);
  }
  return fmt::format("served {} connection{}, {} octets", accepted_, plural, octets_);
}

int Server::run() {
  if (!run_.has_command()) {
    for (const tcp::acceptor& acceptor : acceptors_) {
      complain("listening on " + acceptor.local_endpoint().to_string());
    }
  }
  const int status = run_.run(Child::Input::kInherited, [this] { return summary(); });
  return status;
}

}  // namespace

int run_serve(const ServeOptions& options) {
  if (!options.directory.empty() && options.service != "http") {
    wrong_use("--service " + options.service, "serves no files; leave out " + options.directory);
  }
  Server server(options);
  return server.run();
}

}  // namespace synfin::app
