// SPDX-License-Identifier: Apache-2.0
// Two stacks in one program, joined in memory: one listens, the other connects and says a word.
#include <synfin/link/memory_link.h>
#include <synfin/socket/acceptor.h>
#include <synfin/socket/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <string_view>

int main() {
  using namespace synfin;
  wire::BlockPool pool;
  boost::asio::io_context context;
  auto [a, b] = link::make_memory_pair({}, {}, 64);
  runtime::Options options{.config = {.addresses = {*wire::Prefix::parse("192.0.2.1/24")}}, .pool = &pool};
  runtime::Runtime server(context, std::move(a), options);
  options.config.addresses = {*wire::Prefix::parse("192.0.2.2/24")};
  runtime::Runtime client(context, std::move(b), options);
  server.on_sent([&] { client.wake(); });
  client.on_sent([&] { server.wake(); });

  std::array<char, 16> heard{};
  std::size_t octets = 0;
  const tcp::endpoint address{*wire::IpAddress::parse("192.0.2.1"), 7};
  tcp::acceptor acceptor(server, address);
  tcp::socket accepted(server), socket(client);
  acceptor.async_accept(accepted, [&](boost::system::error_code) {
    accepted.async_read_some(boost::asio::buffer(heard),
                             [&](boost::system::error_code, std::size_t n) { octets = n; });
  });
  socket.async_connect(address, [&](boost::system::error_code error) {
    if (!error)
      boost::asio::async_write(socket, boost::asio::buffer("SYN to FIN", 10),
                               [](boost::system::error_code, std::size_t) {});
  });
  context.run();
  std::printf("heard: %.*s\n", static_cast<int>(octets), heard.data());
  return std::string_view(heard.data(), octets) == "SYN to FIN" ? 0 : 1;
}
