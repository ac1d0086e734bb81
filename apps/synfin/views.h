// SPDX-License-Identifier: Apache-2.0
//
// What --ladder, --capture and --events open; and lines on standard error about floods, which need no option.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "options.h"
#include "synfin/stack/stack.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/event.h"
#include "synfin/view/json_lines.h"
#include "synfin/view/ladder.h"
#include "synfin/view/pcapng.h"

namespace synfin::app {

/// How a run ended, for the last line of --events.
struct Ending {
  Instant at;
  stack::Population population;
  std::uint64_t blocks = 0;
  const trace::Counters& counters;
};

class Views final : public trace::Sink {
 public:
  /// Throws Failure where a file cannot be written.
  explicit Views(const LinkOptions& options);
  ~Views() override;
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  void on_event(const trace::Event& event) override;
  bool wants_packets() const override {
    return ladder_ != nullptr || capture_ != nullptr || events_ != nullptr;
  }
  /// Hands to the system what the files still hold back, so that they can be read while the program runs.
  void flush();
  /// Completes everything. Complains of files that could not be written whole. What still happens as the
  /// stack is taken down is in no file: the summary is the last line.
  void finish(const Ending& ending);

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string capture_path_, events_path_;
  std::unique_ptr<std::FILE, CloseFile> events_file_;
  std::unique_ptr<view::Ladder> ladder_;
  std::unique_ptr<view::Capture> capture_;
  std::unique_ptr<view::JsonLines> events_;
  Instant first_ = Instant::never();
};

/// Columns of the terminal behind `file`, within what a ladder can use; 104 where it is none.
std::size_t terminal_width(std::FILE* file);
/// A terminal that takes colours, and nobody who said NO_COLOR.
bool takes_colour(std::FILE* file);

}  // namespace synfin::app
