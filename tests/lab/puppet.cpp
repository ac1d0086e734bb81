// SPDX-License-Identifier: Apache-2.0
//
// A Synfin in a lab that does what a script beside it says, one call at a time, and tells it what it sees.
//   synfin-puppet [--ladder] [NAME=VALUE ...] -- COMMAND...
// COMMAND runs in the lab; the number of the socket to talk through is in SYNFIN_PUPPET. A line is a JSON
// array, such as ["close", 0]; the answer is {"ok": …} or {"error": "…"}. See `Puppet::kCalls`. Exit status:
// that of COMMAND, or 77 where no lab can be made.
#include "puppet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "synfin/link/file_descriptor.h"
#include "synfin/link/lab.h"
#include "synfin/view/ladder.h"

namespace synfin::lab {

void Puppet::hear_events() {
  while (const auto event = stack_.poll_event()) {
    if ((event->what & stack::kPeerClosed) == 0) continue;
    if (std::erase(closing_on_fin_, event->handle) > 0) stack_.close(event->handle, now());
  }
}

void Puppet::move_packets() {
  std::array<wire::Frame, 64> received;
  for (bool moved = true; moved;) {
    const auto count = gate_.receive(received, now());
    if (!count) throw std::runtime_error(count.error().message);
    moved = *count > 0;
    stack_.receive(std::span(received).first(*count), now());
    stack_.advance(now());
    hear_events();
    if (first_ == end_) {
      first_ = 0;
      end_ = stack_.transmit(sending_, now());
    }
    if (first_ == end_ && !gate_.has_output()) continue;
    const auto sent = gate_.send(std::span(sending_).subspan(first_, end_ - first_), now());
    if (!sent) throw std::runtime_error(sent.error().message);
    first_ += *sent;
    moved |= *sent > 0;
  }
}

json Puppet::answer(const std::string& line) {
  try {
    const auto call = json::parse(line).get<std::vector<json>>();
    const auto found = kCalls.find(call.at(0).get<std::string>());
    if (found == kCalls.end()) return {{"error", "no such call"}};
    return (this->*found->second)(call);
  } catch (const std::exception& e) {
    return {{"error", fmt::format("bad call: {}", e.what())}};
  }
}

bool Puppet::hear(int control) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::read(control, buffer.data(), buffer.size());
  if (n <= 0) return n < 0 && errno == EINTR;
  heard_.append(buffer.data(), static_cast<std::size_t>(n));
  for (std::size_t end = 0; (end = heard_.find('\n')) != std::string::npos; heard_.erase(0, end + 1)) {
    const json result = answer(heard_.substr(0, end));
    move_packets();  // what the call did has left when its answer is read
    const std::string text = result.dump() + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t m = ::send(control, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (m <= 0) return false;
      sent += static_cast<std::size_t>(m);
    }
  }
  return true;
}

void Puppet::run(int control) {
  for (;;) {
    move_packets();
    const short link_events = first_ == end_ ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 2> wanted{pollfd{gate_.descriptor(), link_events, 0}, pollfd{control, POLLIN, 0}};
    const Instant until = stack_.next_deadline();
    const std::int64_t left = until.is_never() ? 0 : std::max(until - now(), Duration::zero()).ns();
    const timespec limit{left / 1'000'000'000, left % 1'000'000'000};
    ::ppoll(wanted.data(), wanted.size(), until.is_never() ? nullptr : &limit, nullptr);
    if (wanted[1].revents != 0 && !hear(control)) return;
  }
}

namespace {

pid_t start(char** command, int control) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::setenv("SYNFIN_PUPPET", std::to_string(control).c_str(), 1);
  ::execvp(command[0], command);
  std::fprintf(stderr, "synfin-puppet: %s: %s\n", command[0], std::strerror(errno));
  ::_exit(127);
}

int run(int argc, char** argv) {
  stack::Config config;
  const bool draws = argc > 1 && std::strcmp(argv[1], "--ladder") == 0;
  int i = draws ? 2 : 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    const auto set = config.settings.set(
        text.substr(0, equals), equals == std::string::npos ? std::string{} : text.substr(equals + 1));
    if (!set) return std::fprintf(stderr, "synfin-puppet: %s\n", set.error().c_str()), 2;
  }
  if (i + 1 >= argc)
    return std::fprintf(stderr, "usage: synfin-puppet [--ladder] [NAME=VALUE ...] -- COMMAND...\n"), 2;

  wire::BlockPool pool;
  auto lab = link::make_lab({.pool = pool, .offload = false});  // scripts count segments
  if (!lab) return std::fprintf(stderr, "synfin-puppet: %s\n", lab.error().message.c_str()), 77;
  config.addresses.push_back(lab->synfin_v4);
  if (lab->ipv6_problem.empty()) config.addresses.push_back(lab->synfin_v6);
  config.mtu = lab->link->info().mtu;

  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) < 0) return 1;
  link::FileDescriptor control{ends[0]};
  ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);
  const pid_t child = start(argv + i + 1, ends[1]);
  ::close(ends[1]);
  {
    view::Ladder ladder(view::Ladder::to_file(stdout));
    Puppet puppet(std::move(lab->link), pool, std::move(config), draws ? &ladder : nullptr);
    puppet.run(control.get());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace
}  // namespace synfin::lab

int main(int argc, char** argv) {
  try {
    return synfin::lab::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "synfin-puppet: %s\n", e.what());
    return 1;
  }
}
