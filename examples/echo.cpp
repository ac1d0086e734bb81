// SPDX-License-Identifier: Apache-2.0
//
// An echo server with a TCP of its own, in a private network made for this run. Beside it runs a client of
// the kernel's, with which it ends:  echo sh -c 'echo hello | nc -N 10.77.0.2 7'
#include <unistd.h>

#include <array>
#include <boost/asio.hpp>
#include <iostream>

#include "synfin/link/lab.h"
#include "synfin/socket/acceptor.h"

namespace asio = boost::asio;
namespace tcp = synfin::tcp;
using asio::use_awaitable;

asio::awaitable<void> echo(tcp::socket peer) {
  try {
    std::array<char, 4096> data;
    for (;;) {
      const std::size_t n = co_await peer.async_read_some(asio::buffer(data), use_awaitable);
      co_await asio::async_write(peer, asio::buffer(data, n), use_awaitable);
    }
  } catch (const boost::system::system_error& e) {
    if (e.code() != asio::error::eof) std::cerr << "echo: " << e.what() << std::endl;
  }
}

asio::awaitable<void> serve(tcp::acceptor acceptor) {
  for (;;) {
    tcp::socket peer = co_await acceptor.async_accept(use_awaitable);
    std::cout << "connection from " << peer.remote_endpoint().to_string() << std::endl;
    co_spawn(acceptor.get_executor(), echo(std::move(peer)), asio::detached);
  }
}

int main(int argc, char** argv) {
  synfin::wire::BlockPool pool;
  auto lab = synfin::link::make_lab({.pool = pool});
  if (!lab) {
    std::cerr << "echo: " << lab.error().message << '\n';
    return 1;
  }

  asio::io_context io;
  synfin::runtime::Options options{.config = {.addresses = {lab->synfin_v4, lab->synfin_v6}}, .pool = &pool};
  synfin::runtime::Runtime runtime(io, std::move(lab->link), std::move(options));
  const tcp::endpoint any{synfin::wire::IpAddress::any(synfin::wire::Family::kIpv6), 7};
  co_spawn(io, serve({runtime, any}), asio::detached);

  asio::signal_set signals(io, SIGINT, SIGTERM, SIGCHLD);
  signals.async_wait([&](auto, int) { io.stop(); });
  if (argc > 1 && ::fork() == 0) {
    ::execvp(argv[1], argv + 1);
    ::_exit(127);
  }
  io.run();
}
