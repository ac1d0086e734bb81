// SPDX-License-Identifier: Apache-2.0
#include "tun_run.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <latch>
#include <thread>

#include "benchmark.h"
#include "machine.h"
#include "synfin/link/netdev.h"

namespace synfin::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec t{};
  return ::clock_gettime(clock, &t) == 0
             ? static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9
             : 0;
}

clockid_t own_clock() {
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  (void)::pthread_getcpuclockid(::pthread_self(), &clock);
  return clock;
}

// What of a failure means that this machine does not allow a lab; everything else is one of the code.
bool forbidden(const link::LinkError& error) {
  return error.code == EPERM || error.code == EACCES || error.code == ENOSPC || error.code == ENOENT ||
         error.code == ENODEV || error.code == ENXIO;
}

using Outcome = std::expected<TunFigures, TunFailure>;

Outcome failed(std::string why) {
  return std::unexpected{TunFailure{std::move(why)}};
}
Outcome failed(const link::LinkError& error) {
  return std::unexpected{TunFailure{error.message, forbidden(error)}};
}

// Both programs to their ends, the far one in this thread. It may change the network once the other is there.
Outcome both(const TunWork& work, TunMeter& meter, const std::function<std::string(const Ready&)>& far) {
  std::string kernel_problem;
  std::atomic<bool> listening = false;
  const Ready ready = [&] {
    listening = true;
    listening.notify_one();
  };
  meter.set_far_clock();
  std::thread kernel{[&] {
    stay_on_processor(0);
    listening.wait(false);
    if (meter.complete()) return;
    kernel_problem = run_kernel_program(work, meter);
    if (!kernel_problem.empty()) meter.give_up();
  }};
  stay_on_processor(1);
  const std::uint64_t taken_away = preemptions();
  const std::string problem = far(ready);
  TunFigures figures = meter.figures();
  figures.preempted = preemptions() - taken_away;
  meter.give_up();
  ready();
  kernel.join();
  if (!problem.empty()) return failed(problem);
  if (!kernel_problem.empty()) return failed(kernel_problem);
  return figures;
}

Outcome over_tun(TunFar far, const TunWork& work) {
  wire::BlockPool pool;
  auto lab = link::make_lab({.pool = pool, .mtu = kTunMtu, .offload = work.offload});
  if (!lab) return failed(lab.error());
  if (lab->link->info().offload != work.offload)
    return std::unexpected{TunFailure{"this kernel's TUN devices have no offload", true}};
  TunMeter meter{work.count};
  return both(work, meter, [&](const Ready& ready) {
    if (far == TunFar::kNothing || far == TunFar::kNothingCopied)
      return run_nothing(work, meter, *lab, far == TunFar::kNothingCopied, ready);
    return run_synfin(work, meter, std::move(*lab), pool, far == TunFar::kSynfinShared, ready);
  });
}

link::NetdevResult leave_nothing_to(const std::string& device) {
  const link::FileDescriptor any{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  for (const int what : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM}) {
    ethtool_value value{.cmd = static_cast<std::uint32_t>(what), .data = 0};
    ifreq request{};
    device.copy(request.ifr_name, sizeof request.ifr_name - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);
    if (::ioctl(any.get(), SIOCETHTOOL, &request) != 0)
      return std::unexpected{link::system_error("cannot switch off the offloads of " + device, errno)};
  }
  return {};
}

link::NetdevResult one_end(const std::string& device, std::uint8_t first, std::uint32_t addresses,
                           bool offload) {
  if (auto r = link::set_mtu(device, kTunMtu); !r) return r;
  if (!offload) {
    if (auto r = leave_nothing_to(device); !r) return r;
  }
  if (auto r = link::set_up(device); !r) return r;
  for (std::uint32_t i = 0; i < addresses; ++i) {
    const auto address = wire::IpAddress::v4(10, 77, 0, static_cast<std::uint8_t>(first + i));
    if (auto r = link::add_address(device, {address, 24}); !r) return r;
  }
  return {};
}

// The lab's network without its TUN device, and one more beside it.
Outcome over_veth(const TunWork& work) {
  {
    // Checks what can be had and enters a network of its own; the device goes at once.
    wire::BlockPool pool;
    if (auto lab = link::make_lab({.pool = pool}); !lab) return failed(lab.error());
  }
  link::FileDescriptor other;
  link::NetdevResult made;
  pid_t holder = 0;
  std::latch entered{1}, moved{1};
  std::thread far{[&] {
    holder = static_cast<pid_t>(::syscall(SYS_gettid));
    if (::unshare(CLONE_NEWNET) != 0) {
      made = std::unexpected{link::system_error("cannot make a second network", errno)};
    } else {
      other = link::FileDescriptor{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    }
    entered.count_down();
    moved.wait();
    if (made) made = one_end("far", 2, kTunAddresses, work.offload);
  }};
  entered.wait();
  if (made) made = link::add_veth("near", "far");
  if (made) made = link::move_to_namespace("far", holder);
  if (made) made = one_end("near", 1, 1, work.offload);
  moved.count_down();
  far.join();
  if (!made) return failed(made.error());
  TunMeter meter{work.count};
  return both(work, meter, [&](const Ready& ready) {
    if (::setns(other.get(), CLONE_NEWNET) != 0)
      return link::system_error("cannot enter the second network", errno).message;
    return run_kernel_far(work, meter, ready);
  });
}

Json told(const Outcome& outcome) {
  if (!outcome) return {{"why", outcome.error().why}, {"unavailable", outcome.error().unavailable}};
  return {{"count", outcome->count},
          {"seconds", outcome->seconds},
          {"far", outcome->far_cpu},
          {"kernel", outcome->kernel_cpu},
          {"preempted", outcome->preempted}};
}

Outcome understood(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return failed("the process that was to do the work died");
  if (json.contains("why")) return std::unexpected{TunFailure{json["why"], json["unavailable"]}};
  return TunFigures{json["count"], json["seconds"], json["far"], json["kernel"], json["preempted"]};
}

}  // namespace

void TunMeter::set_far_clock() {
  far_clock_ = own_clock();
}
void TunMeter::set_kernel_clock() {
  kernel_clock_ = own_clock();
}

TunMeter::Moment TunMeter::now() const {
  return {arrived_, seconds_of(CLOCK_MONOTONIC), seconds_of(far_clock_), seconds_of(kernel_clock_)};
}

bool TunMeter::pass() {
  if (!begun_) {
    begun_ = true;
    begin_ = now();
    next_ = wanted_;
    if (arrived_ < next_) return false;
  }
  if (!complete()) end_ = now();
  give_up();
  return true;
}

TunFigures TunMeter::figures() const {
  return {end_.arrived - begin_.arrived, end_.wall - begin_.wall, end_.far - begin_.far,
          end_.kernel - begin_.kernel};
}

void stay_on_processor(std::size_t which) {
  cpu_set_t set;
  // The process may have been told to stay on one: then the system's whole is asked for.
  const long all = ::sysconf(_SC_NPROCESSORS_ONLN);
  CPU_ZERO(&set);
  CPU_SET(which < static_cast<std::size_t>(all) ? which : 0, &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

std::expected<TunFigures, TunFailure> run_over_device(TunFar far, const TunWork& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return failed("cannot make a pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return failed("cannot make a process");
  if (child == 0) {
    std::string text;
    try {
      text = told(far == TunFar::kKernel ? over_veth(work) : over_tun(far, work)).dump();
    } catch (const std::exception& error) {
      text = told(failed(error.what())).dump();
    }
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 1024> piece;
  for (ssize_t n = 0; (n = ::read(ends[0], piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return understood(text);
}

}  // namespace synfin::bench
