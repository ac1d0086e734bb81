// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <stdexcept>

#include "bottleneck.h"
#include "flows.h"
#include "synfin/runtime/runtime.h"
#include "synfin/socket/socket.h"

namespace synfin::bench {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

std::chrono::steady_clock::time_point clock_time(Instant at) {
  return std::chrono::steady_clock::time_point{std::chrono::nanoseconds{at.ns()}};
}

asio::awaitable<void> send_one(tcp::socket& socket, std::uint64_t octets,
                               const std::vector<std::byte>& block) {
  const wire::Endpoint sink{wire::IpAddress::v4(kFarKernel), kSinkPort};
  const auto [failed] = co_await socket.async_connect(sink, kNoThrow);
  if (failed) co_return;
  for (std::uint64_t left = octets == 0 ? UINT64_MAX : octets; left > 0;) {
    const auto part =
        asio::buffer(block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), left)));
    const auto [error, n] = co_await socket.async_write_some(part, kNoThrow);
    if (error) co_return;
    left -= n;
  }
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

stack::Config configuration(const Plan& plan) {
  stack::Config config;
  config.addresses.push_back({wire::IpAddress::v4(kNearSynfin), 24});
  std::vector<std::string> settings{"tcp_congestion_control=" + plan.synfin.controller};
  settings.insert(settings.end(), plan.settings.begin(), plan.settings.end());
  for (const std::string& text : settings) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) throw std::runtime_error(text + ": NAME=VALUE is expected");
    const auto set = config.settings.set(text.substr(0, equals), text.substr(equals + 1));
    if (!set) throw std::runtime_error(set.error());
  }
  return config;
}

nlohmann::json describe(const runtime::Runtime& runtime_in, stack::Stack& stack, const tcp::socket& socket,
                        const std::string& controller) {
  boost::system::error_code ignored;
  const auto info = stack.info(socket.native_handle(), runtime_in.now());
  nlohmann::json flow{{"stack", "synfin"},
                      {"address", "10.78.1.2"},
                      {"port", socket.local_endpoint(ignored).port},
                      {"controller", controller}};
  if (info) {
    flow.update({{"retransmitted", info->total_retrans},
                 {"cwnd", info->snd_cwnd},
                 {"rtt", static_cast<double>(info->rtt.ns()) / 1e9}});
  }
  return flow;
}

}  // namespace

nlohmann::json send_by_synfin(const Plan& plan, std::unique_ptr<link::TunLink> link, wire::BlockPool& pool) {
  asio::io_context context{1};
  const std::vector<std::byte> block(kBlock);
  runtime::Runtime runtime{context, std::move(link), {.config = configuration(plan), .pool = &pool}};
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < plan.synfin.count; ++i) sockets.emplace_back(runtime);
  asio::steady_timer begin{context, clock_time(plan.begin)}, end{context, clock_time(plan.end)};
  begin.async_wait([&](const auto&) {
    for (tcp::socket& s : sockets) asio::co_spawn(context, send_one(s, plan.octets, block), asio::detached);
  });
  nlohmann::json account = nlohmann::json::array();
  end.async_wait([&](const auto&) {
    for (const tcp::socket& s : sockets)
      account.push_back(describe(runtime, runtime.stack(), s, plan.synfin.controller));
    nlohmann::json counters = nlohmann::json::object();
    const auto& all = runtime.stack().counters();
    for (std::size_t i = 0; i < std::to_underlying(trace::Counter::kCount); ++i) {
      const auto counter = static_cast<trace::Counter>(i);
      if (all[counter] != 0) counters[std::string{trace::name(counter)}] = all[counter];
    }
    if (!account.empty()) account.front()["counters"] = counters;
    context.stop();
  });
  context.run();
  return account;
}

}  // namespace synfin::bench
