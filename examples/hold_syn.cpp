// SPDX-License-Identifier: Apache-2.0
//
// A forwarder that dials upstream before it answers: its callers are connected only if the upstream is, and
// are refused where it is not. In a private network made for this run; port 7 leads to port 7 of the kernel
// there, with a program beside it, with which it ends:
//   hold_syn sh -c 'nc -lN 10.77.0.1 7 & sleep 1; echo hello | nc -N 10.77.0.2 7; nc -zv 10.77.0.2 7'
#include <unistd.h>

#include <array>
#include <boost/asio.hpp>
#include <iostream>
#include <memory>

#include "synfin/link/lab.h"
#include "synfin/socket/acceptor.h"

namespace asio = boost::asio;
namespace tcp = synfin::tcp;
using asio::use_awaitable;

asio::awaitable<void> relay(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to) {
  boost::system::error_code ec;
  try {
    std::array<char, 4096> data;
    for (;;) {
      const std::size_t n = co_await from->async_read_some(asio::buffer(data), use_awaitable);
      co_await asio::async_write(*to, asio::buffer(data, n), use_awaitable);
    }
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::eof) {
      to->shutdown(tcp::socket::shutdown_send, ec);
    } else {
      to->abort();
    }
  }
}

asio::awaitable<void> forward(synfin::runtime::Runtime& runtime, tcp::pending_connection caller,
                              tcp::endpoint upstream) {
  auto out = std::make_shared<tcp::socket>(runtime);
  // Should the caller give up meanwhile, there is nobody to dial for.
  caller.async_wait_withdrawn([out](boost::system::error_code ec) {
    if (!ec) out->cancel();
  });
  try {
    co_await out->async_connect(upstream, use_awaitable);
  } catch (const boost::system::system_error& e) {
    std::cout << caller.remote_endpoint().to_string() << ": upstream: " << e.code().message() << std::endl;
    boost::system::error_code ignored;
    caller.reject(ignored);
    co_return;
  }
  try {
    auto in = std::make_shared<tcp::socket>(co_await caller.async_accept(use_awaitable));
    std::cout << caller.remote_endpoint().to_string() << ": forwarded" << std::endl;
    co_spawn(runtime.context(), relay(in, out), asio::detached);
    co_await relay(out, in);
  } catch (const boost::system::system_error& e) {
    std::cout << caller.remote_endpoint().to_string() << ": " << e.code().message() << std::endl;
  }
}

asio::awaitable<void> serve(synfin::runtime::Runtime& runtime, tcp::endpoint local, tcp::endpoint upstream) {
  tcp::acceptor acceptor(runtime);
  acceptor.set_option(tcp::acceptor::hold_syns{});
  acceptor.listen(local);
  for (;;) {
    tcp::pending_connection caller = co_await acceptor.async_accept_pending(use_awaitable);
    co_spawn(runtime.context(), forward(runtime, std::move(caller), upstream), asio::detached);
  }
}

int main(int argc, char** argv) {
  synfin::wire::BlockPool pool;
  auto lab = synfin::link::make_lab({.pool = pool});
  if (!lab) {
    std::cerr << "hold_syn: " << lab.error().message << '\n';
    return 1;
  }

  asio::io_context io;
  synfin::runtime::Options options{.config = {.addresses = {lab->synfin_v4, lab->synfin_v6}}, .pool = &pool};
  synfin::runtime::Runtime runtime(io, std::move(lab->link), std::move(options));
  const tcp::endpoint any{synfin::wire::IpAddress::any(synfin::wire::Family::kIpv6), 7};
  const tcp::endpoint upstream{synfin::wire::IpAddress::v4(10, 77, 0, 1), 7};
  co_spawn(io, serve(runtime, any, upstream), asio::detached);

  asio::signal_set signals(io, SIGINT, SIGTERM, SIGCHLD);
  signals.async_wait([&](auto, int) { io.stop(); });
  if (argc > 1 && ::fork() == 0) {
    ::execvp(argv[1], argv + 1);
    ::_exit(127);
  }
  io.run();
}
