// SPDX-License-Identifier: Apache-2.0
//
// One run of bench/quality.py: flows of the kernel and of Synfin through one bad network to one kernel, for a
// given time, in network namespaces of their own. The account goes to standard output as JSON.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <stdexcept>

#include "bottleneck.h"
#include "flows.h"

namespace synfin::bench {
namespace {

using nlohmann::json;

// For all to be ready.
constexpr Duration kHeadStart = Duration::milliseconds(50);
// For accounts to be written.
constexpr Duration kAfterwards = Duration::milliseconds(20);

// A process that does `work` and leaves what it returns in a pipe.
class Child {
 public:
  explicit Child(const std::function<json()>& work) {
    int ends[2];
    if (::pipe(ends) < 0) throw std::runtime_error("no pipe can be had");
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error("no process can be had");
    if (id_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      json result;
      try {
        result = work();
      } catch (const std::exception& e) {
        result = {{"error", e.what()}};
      }
      const std::string text = result.dump();
      for (std::size_t at = 0; at < text.size();) {
        const ssize_t n = ::write(ends[1], text.data() + at, text.size() - at);
        if (n <= 0) break;
        at += static_cast<std::size_t>(n);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    from_ = link::FileDescriptor{ends[0]};
  }
  json result() {
    std::string text;
    char part[4096];
    while (const ssize_t n = ::read(from_.get(), part, sizeof part)) {
      if (n > 0) text.append(part, static_cast<std::size_t>(n));
      if (n < 0 && errno != EINTR) break;
    }
    while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
    }
    json all = json::parse(text, nullptr, false);
    if (all.is_discarded()) throw std::runtime_error("a process of the run ended without an account");
    if (all.contains("error")) throw std::runtime_error(all["error"].get<std::string>());
    return all;
  }

 private:
  pid_t id_ = -1;
  link::FileDescriptor from_;
};

struct Arguments {
  std::vector<std::string> impair, settings;
  Flows kernel, synfin;
  double seconds = 5, skip = 0;
  std::uint64_t octets = 0;
  std::string capture;
};

json run(const Arguments& arguments) {
  link::ImpairSpec spec;
  for (const std::string& text : arguments.impair) {
    auto parsed = link::parse_impair(text, spec);
    if (!parsed) throw std::runtime_error(parsed.error());
    spec = *parsed;
  }
  // Waits of the bottleneck and of pacing shall end when they are due.
  ::prctl(PR_SET_TIMERSLACK, 1000);
  Plan plan;
  plan.kernel = arguments.kernel;
  plan.synfin = arguments.synfin;
  plan.settings = arguments.settings;
  plan.octets = arguments.octets;
  wire::BlockPool pool;
  std::unique_ptr<link::TunLink> synfin;
  std::unique_ptr<link::TunLink> near = make_near(pool, synfin);
  plan.begin = steady_now() + kHeadStart;
  plan.end = plan.begin + Duration::nanoseconds(static_cast<std::int64_t>(arguments.seconds * 1e9));
  plan.count_from = plan.begin + Duration::nanoseconds(static_cast<std::int64_t>(arguments.skip * 1e9));
  std::vector<Child> senders;
  if (plan.kernel.count > 0) senders.emplace_back([&] { return send_by_kernel(plan); });
  if (plan.synfin.count > 0)
    senders.emplace_back([&] { return send_by_synfin(plan, std::move(synfin), pool); });
  auto far = make_far(pool);
  const int listener = open_sink();
  Child receiver([&] { return receive_all(plan, listener); });
  Bottleneck bottleneck(std::move(near), std::move(far), spec, pool, arguments.capture);
  bottleneck.run(plan.end + kAfterwards);

  json flows = json::array();
  for (Child& sender : senders) {
    for (json& flow : sender.result()) flows.push_back(std::move(flow));
  }
  const json received = receiver.result();
  for (json& flow : flows) {
    flow["octets"] = 0;
    for (const json& r : received) {
      if (r["address"] == flow["address"] && r["port"] == flow["port"]) flow.update(r);
    }
  }
  const link::ImpairCounters& c = bottleneck.counters();
  return {{"seconds", arguments.seconds - arguments.skip},
          {"flows", flows},
          {"link",
           {{"packets", c.packets},
            {"lost", c.lost},
            {"reordered", c.reordered},
            {"dropped_queue_full", c.dropped_queue_full}}}};
}

int main_of(int argc, char** argv) {
  Arguments a;
  CLI::App app{"Flows of the kernel and of Synfin through one bad network to one kernel"};
  app.add_option("--impair", a.impair, "as of `synfin`; out: is towards the receiver")
      ->allow_extra_args(false);
  app.add_option("--kernel", a.kernel.count, "flows of the kernel")->check(CLI::Range(0, 1000));
  app.add_option("--synfin", a.synfin.count, "flows of Synfin")->check(CLI::Range(0, 1000));
  app.add_option("--kernel-controller", a.kernel.controller, "congestion control")->default_val("cubic");
  app.add_option("--synfin-controller", a.synfin.controller, "congestion control")->default_val("cubic");
  app.add_option("--set", a.settings, "NAME=VALUE: a setting of Synfin")->allow_extra_args(false);
  app.add_option("--seconds", a.seconds, "from connecting to the end")->check(CLI::Range(0.1, 3600.0));
  app.add_option("--skip", a.skip, "of these, before what arrives counts")->check(CLI::Range(0.0, 3600.0));
  app.add_option("--octets", a.octets, "that each flow sends; 0: as many as it can");
  app.add_option("--capture", a.capture, "pcapng file of what senders give and get");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  const json account = run(a);
  std::puts(account.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace synfin::bench

int main(int argc, char** argv) {
  try {
    return synfin::bench::main_of(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "synfin-quality: %s\n", e.what());
    return 1;
  }
}
