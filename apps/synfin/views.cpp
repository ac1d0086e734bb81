// SPDX-License-Identifier: Apache-2.0
#include "views.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "failure.h"
#include "synfin/view/flood_text.h"

namespace synfin::app {
namespace {

/// What turns the runtime's steady clock into the time of day.
Duration unix_offset() {
  using namespace std::chrono;
  const auto day = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  const auto steady = duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
  return Duration::nanoseconds(day - steady);
}

[[noreturn]] void cannot_write(const char* option, const std::string& path, const std::string& why) {
  wrong_use(std::string{option} + " " + path, why + "; give a file that can be written");
}

void complain_of(const char* option, const std::string& path, const std::error_code& error) {
  if (error)
    complain(std::string{option} + " " + path + ": " + error.message() +
             "; what was written before can be read");
}

}  // namespace

Views::Views(const LinkOptions& options) : capture_path_(options.capture), events_path_(options.events) {
  if (options.ladder) {
    ladder_ = std::make_unique<view::Ladder>(
        view::Ladder::to_file(stderr),
        view::LadderOptions{.colour = takes_colour(stderr), .width = terminal_width(stderr)});
  }
  if (!capture_path_.empty()) {
    auto writer = view::PcapngWriter::create(capture_path_);
    if (!writer) cannot_write("--capture", capture_path_, writer.error().message());
    capture_ = std::make_unique<view::Capture>(std::move(*writer), unix_offset());
  }
  if (!events_path_.empty()) {
    events_file_.reset(std::fopen(events_path_.c_str(), "we"));
    if (!events_file_) cannot_write("--events", events_path_, std::strerror(errno));
    events_ = std::make_unique<view::JsonLines>(events_file_.get());
  }
}

Views::~Views() = default;

void Views::on_event(const trace::Event& event) {
  if (first_.is_never()) first_ = event.at;
  if (ladder_) ladder_->on_event(event);
  if (capture_) capture_->on_event(event);
  if (events_) events_->on_event(event);
  if (event.flood != nullptr) complain(view::describe(*event.flood));
}

void Views::flush() {
  // Errors stick and are reported at the end.
  if (capture_) (void)capture_->writer().flush();
  if (events_) (void)events_->finish();
}

void Views::finish(const Ending& ending) {
  if (ladder_) ladder_->finish();
  if (capture_) {
    (void)capture_->writer().close();
    complain_of("--capture", capture_path_, capture_->last_error());
    capture_.reset();
  }
  if (!events_) return;
  std::error_code error = events_->finish();
  events_.reset();
  nlohmann::ordered_json line{
      {"time", first_.is_never() ? 0.0 : static_cast<double>((ending.at - first_).us()) * 1e-6},
      {"event", "summary"},
      {"connections", ending.population.connections},
      {"half_open", ending.population.half_open},
      {"held", ending.population.held},
      {"time_wait", ending.population.time_wait},
      {"listeners", ending.population.listeners},
      {"timers", ending.population.armed_timers},
      {"blocks", ending.blocks},
      {"counters", nlohmann::ordered_json::object()},
      {"reasons", nlohmann::ordered_json::object()},
  };
  for (std::size_t i = 0; i < ending.counters.values.size(); ++i) {
    if (ending.counters.values[i] == 0) continue;
    line["counters"][trace::name(static_cast<trace::Counter>(i))] = ending.counters.values[i];
  }
  for (std::size_t i = 0; i < ending.counters.reasons.size(); ++i) {
    if (ending.counters.reasons[i] == 0) continue;
    line["reasons"][trace::name(static_cast<trace::Reason>(i))] = ending.counters.reasons[i];
  }
  if (!error) {
    std::fprintf(events_file_.get(), "%s\n", line.dump().c_str());
    if (std::fflush(events_file_.get()) != 0) error = std::error_code{errno, std::generic_category()};
  }
  complain_of("--events", events_path_, error);
}

std::size_t terminal_width(std::FILE* file) {
  constexpr std::size_t kDefault = 104, kSmallest = 80, kLargest = 120;
  winsize size{};
  if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefault;
  return std::clamp<std::size_t>(size.ws_col, kSmallest, kLargest);
}

bool takes_colour(std::FILE* file) {
  const char* terminal = std::getenv("TERM");
  return isatty(fileno(file)) != 0 && std::getenv("NO_COLOR") == nullptr && terminal != nullptr &&
         std::strcmp(terminal, "dumb") != 0;
}

}  // namespace synfin::app
