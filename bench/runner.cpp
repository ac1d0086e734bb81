// SPDX-License-Identifier: Apache-2.0
//
// Google Benchmark repeats, times what is a plain loop, and reports; a case that times itself is one
// iteration with manual time.
#include "runner.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

namespace synfin::bench {
namespace {

/// Seconds for which a plain loop runs, at the usual scale.
constexpr double kLoopSeconds = 0.25;

struct Collected {
  std::vector<Sample> samples;
  std::string error;
};

/// Takes the figures of plain loops from Google Benchmark; nothing is printed.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::map<std::string, Collected*> by_name) : by_name_(std::move(by_name)) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const auto it = by_name_.find(run.run_name.function_name);
      if (it == by_name_.end() || run.run_type != Run::RT_Iteration) continue;
      if (run.error_occurred) {
        it->second->error = run.error_message;
      } else {
        it->second->samples.push_back({.value = run.GetAdjustedRealTime()});
      }
    }
  }

 private:
  std::map<std::string, Collected*> by_name_;
};

// Of those that were asked for, those that the case has.
std::set<std::string> peers_of(const Case& what, const Plan& plan) {
  std::set<std::string> peers;
  for (const std::string& peer : what.peers) {
    if (plan.peers.contains(peer)) peers.insert(peer);
  }
  return peers;
}

void run_once(benchmark::State& state, const Case& what, const Run& run, Collected& into) {
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    into.samples.push_back(what.run(run));
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
}

// Numbers are the medians of all runs; what is not a number is that of the last.
Json middle_of(const std::vector<const Json*>& all) {
  const Json& last = *all.back();
  if (last.is_object()) {
    Json middle = Json::object();
    for (const auto& [key, value] : last.items()) {
      std::vector<const Json*> same;
      for (const Json* one : all) {
        if (one->is_object() && one->contains(key) && (*one)[key].type() == value.type())
          same.push_back(&(*one)[key]);
      }
      middle[key] = middle_of(same);
    }
    return middle;
  }
  if (!last.is_number()) return last;
  std::vector<const Json*> sorted = all;
  std::ranges::sort(sorted, {}, [](const Json* j) { return j->get<double>(); });
  if (sorted.size() % 2 == 1 || !last.is_number_float()) return *sorted[sorted.size() / 2];
  return (sorted[sorted.size() / 2]->get<double>() + sorted[sorted.size() / 2 - 1]->get<double>()) / 2;
}

Result summary(const Chosen& chosen, const Collected& collected) {
  Result r{.benchmark = chosen.benchmark,
           .name = chosen.what.name,
           .unit = chosen.what.unit,
           .better = chosen.what.better};
  r.problem = collected.error;
  r.runs = static_cast<unsigned>(collected.samples.size());
  if (collected.samples.empty()) {
    if (r.problem.empty()) r.problem = "it did not run";
    return r;
  }
  std::vector<double> values;
  std::map<std::string, std::vector<double>> peers;
  for (const Sample& s : collected.samples) {
    values.push_back(s.value);
    for (const auto& [name, value] : s.peers) peers[name].push_back(value);
    if (r.problem.empty()) r.problem = s.problem;
    if (r.skipped.empty()) r.skipped = s.skipped;
  }
  r.value = median(values);
  r.min = *std::ranges::min_element(values);
  r.max = *std::ranges::max_element(values);
  for (const auto& [name, all] : peers) {
    r.peers[name] = median(all);
    if (r.peers[name] != 0) r.ratios[name] = r.value / r.peers[name];
  }
  std::vector<const Json*> extras;
  for (const Sample& s : collected.samples) extras.push_back(&s.extra);
  r.extra = middle_of(extras);
  return r;
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

std::vector<Result> run_all(const Plan& plan, const Progress& progress) {
  std::vector<Collected> collected(plan.cases.size());
  std::map<std::string, Collected*> loops;
  for (std::size_t i = 0; i < plan.cases.size(); ++i) {
    const Chosen& chosen = plan.cases[i];
    const std::string name = chosen.benchmark + " " + chosen.what.name;
    if (chosen.what.loop) {
      loops[name] = &collected[i];
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&chosen, &progress, i](benchmark::State& state) {
                                     progress(i, 0);
                                     chosen.what.loop(state);
                                   })
          ->Repetitions(static_cast<int>(plan.runs))
          ->MinTime(kLoopSeconds * plan.scale)
          ->UseRealTime();
      continue;
    }
    benchmark::RegisterBenchmark(
        name.c_str(),
        [&, i](benchmark::State& state) {
          const auto number = static_cast<unsigned>(collected[i].samples.size());
          progress(i, number + 1);
          run_once(
              state, plan.cases[i].what,
              {.scale = plan.scale, .seed = plan.seed + number, .peers = peers_of(plan.cases[i].what, plan)},
              collected[i]);
        })
        ->Repetitions(static_cast<int>(plan.runs))
        ->Iterations(1)
        ->UseManualTime();
  }
  Collector collector{std::move(loops)};
  if (!plan.cases.empty()) benchmark::RunSpecifiedBenchmarks(&collector, ".");
  std::vector<Result> results;
  for (std::size_t i = 0; i < plan.cases.size(); ++i) results.push_back(summary(plan.cases[i], collected[i]));
  return results;
}

}  // namespace synfin::bench
