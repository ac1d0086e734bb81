// SPDX-License-Identifier: Apache-2.0
#include "lab_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "failure.h"
#include "synfin/link/impair.h"
#include "synfin/link/lab.h"
#include "synfin/link/netdev.h"
#include "synfin/link/tun.h"

namespace synfin::app {
namespace {

/// How long connections have to end in order once the run is to end.
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::milliseconds kLook{5};
/// How late a file may be that is read while the program runs.
constexpr std::chrono::seconds kFlush{1};

/// The network of an address, as a route names it.
wire::Prefix network_of(const wire::Prefix& address) {
  std::array<std::byte, 16> octets = address.address.octets();
  const std::size_t length = address.length + (address.address.is_v4() ? 96U : 0U);
  for (std::size_t bit = length; bit < 128; ++bit) octets[bit / 8] &= ~(std::byte{0x80} >> (bit % 8));
  if (address.address.is_v4()) return {wire::IpAddress::from_v4_octets(octets.data() + 12), address.length};
  return {wire::IpAddress::from_v6_octets(octets.data()), address.length};
}

void require(const link::NetdevResult& result) {
  if (!result) throw Failure{kNetworkFailure, result.error().message};
}

}  // namespace

LabRun::LabRun(const LinkOptions& options, trace::Sink* extra)
    : options_(options),
      config_(stack_config(options)),
      views_(options),
      sinks_(&views_, extra),
      signals_(context_),
      child_signals_(context_),
      timer_(context_),
      flush_timer_(context_) {
  check_link_options(options_, config_);
  open_link();
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  wait_for_signal();
}

LabRun::~LabRun() = default;

std::unique_ptr<link::Link> LabRun::open_lab() {
  auto lab = link::make_lab({.pool = pool_, .mtu = options_.mtu.value_or(1500), .offload = offload()});
  if (!lab) throw Failure{kNetworkFailure, lab.error().message};
  if (!lab->ipv6_problem.empty()) {
    std::erase_if(config_.addresses, [](const wire::Prefix& p) { return !p.address.is_v4(); });
    complain("--lab: IPv4 only: " + lab->ipv6_problem);
  }
  return std::move(lab->link);
}

std::unique_ptr<link::Link> LabRun::open_device() {
  const bool ours = !link::device_index(options_.tun).has_value();
  auto tun = link::open_tun({.name = options_.tun,
                             .mtu = options_.mtu.value_or(0),
                             .pool = pool_,
                             .missing = link::TunMissing::kCreate,
                             .offload = offload()});
  if (!tun) throw Failure{kNetworkFailure, tun.error().message};
  if (ours) {
    // A device that somebody prepared stays as it is; one made here must be up and have a route to be of use.
    if (options_.mtu) require(link::set_mtu(options_.tun, *options_.mtu));
    require(link::set_up(options_.tun));
    for (const wire::Prefix& address : config_.addresses)
      require(link::add_route(network_of(address), options_.tun));
  }
  return std::move(*tun);
}

void LabRun::open_link() {
  link::ImpairSpec impairment;
  for (const std::string& text : options_.impair) {
    const auto parsed = link::parse_impair(text, impairment);
    if (!parsed) wrong_use("--impair " + text, parsed.error());
    impairment = *parsed;
  }
  std::unique_ptr<link::Link> link = options_.lab ? open_lab() : open_device();
  if (!options_.impair.empty())
    link = std::make_unique<link::ImpairedLink>(std::move(link), impairment, pool_);
  runtime_ = std::make_unique<runtime::Runtime>(
      context_, std::move(link),
      runtime::Options{.config = config_, .keep_running = true, .pool = &pool_, .sink = &sinks_});
  runtime_->on_link_error([this](const link::LinkError& error) {
    complain(error.message);
    status_ = kNetworkFailure;
    context_.stop();
  });
}

wire::IpAddress LabRun::own_address(wire::Family family) const {
  const auto own =
      std::ranges::find(config_.addresses, family, [](const wire::Prefix& p) { return p.address.family(); });
  if (own != config_.addresses.end()) return own->address;
  network_failure(family == wire::Family::kIpv4 ? "IPv4" : "IPv6",
                  "Synfin has no address of this family here; see --address");
}

void LabRun::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    if (status_) {
      context_.stop();  // asked twice: at once
      return;
    }
    signalled_ = true;
    stop(kSuccess);
    wait_for_signal();
  });
}

void LabRun::wait_for_child() {
  if (const std::optional<int> ended = child_->status()) {
    stop(*ended);
    return;
  }
  child_signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) wait_for_child();
  });
}

void LabRun::stop(int status) {
  if (status_) return;
  status_ = status;
  give_up_at_ = boost::asio::steady_timer::clock_type::now() + kGrace;
  // The packets that the ended command sent last are read before anything is closed.
  runtime_->pump();
  if (on_stop_) on_stop_();
  wait_for_quiet();
}

void LabRun::wait_for_quiet() {
  timer_.expires_after(kLook);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    const stack::Population now = runtime_->stack().population();
    const bool quiet = now.connections == 0 && now.half_open == 0 && !(busy_ && busy_());
    if (quiet || boost::asio::steady_timer::clock_type::now() >= give_up_at_) {
      context_.stop();
    } else {
      wait_for_quiet();
    }
  });
}

void LabRun::keep_files_fresh() {
  flush_timer_.expires_after(kFlush);
  flush_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    views_.flush();
    keep_files_fresh();
  });
}

int LabRun::run(Child::Input input, const std::function<std::string()>& summary) {
  if (has_command()) {
    child_signals_.add(SIGCHLD);
    child_.emplace(options_.command, input);
    wait_for_child();
  }
  keep_files_fresh();
  context_.run();
  const stack::Population population = runtime_->stack().population();
  const std::string line = summary();
  views_.finish({runtime_->now(), population, pool_.blocks_in_use(), runtime_->stack().counters()});
  if (signalled_) {
    complain(fmt::format("{}; {} still open, {} half-open, {} in TIME-WAIT", line, population.connections,
                         population.half_open, population.time_wait));
  }
  child_.reset();
  runtime_.reset();
  return status_.value_or(kSuccess);
}

}  // namespace synfin::app
