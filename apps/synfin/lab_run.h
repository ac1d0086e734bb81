// SPDX-License-Identifier: Apache-2.0
//
// A stack on the link that the command line names, with its views, a command beside it, and an orderly end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "child.h"
#include "options.h"
#include "synfin/runtime/runtime.h"
#include "synfin/trace/event.h"
#include "views.h"

namespace synfin::app {

/// Order of use: construct (opens everything that can be refused), start what the verb does on `context()`,
/// `run`.
class LabRun {
 public:
  /// Throws Failure. `extra` hears every event as well; may be null, must outlive this.
  explicit LabRun(const LinkOptions& options, trace::Sink* extra = nullptr);
  ~LabRun();

  boost::asio::io_context& context() { return context_; }
  runtime::Runtime& runtime() { return *runtime_; }
  /// The first own address of the family; throws Failure where there is none.
  wire::IpAddress own_address(wire::Family family) const;
  bool has_command() const { return !options_.command.empty(); }

  /// What the verb does when it is to end: close listeners, send FINs. Connections then have two seconds.
  void on_stop(std::function<void()> callback) { on_stop_ = std::move(callback); }
  /// Whether the verb still has something to do with what has arrived, within those two seconds.
  void while_busy(std::function<bool()> question) { busy_ = std::move(question); }
  /// Ends the run from within, with this exit status, as a signal does. The first caller decides.
  void stop(int status);

  /// Starts the command and serves the link until the command ends, a signal comes, the device goes or `stop`
  /// is called; returns the exit status. `summary` is asked for the verb's part of the closing line, which a
  /// run ended by a signal prints.
  int run(Child::Input input, const std::function<std::string()>& summary);

 private:
  void open_link();
  bool offload() const { return options_.offload == "on" && options_.impair.empty(); }
  std::unique_ptr<link::Link> open_lab();
  std::unique_ptr<link::Link> open_device();
  void wait_for_signal();
  void wait_for_child();
  void wait_for_quiet();
  void keep_files_fresh();
  std::string counts() const;

  LinkOptions options_;
  stack::Config config_;
  Views views_;
  trace::Fork sinks_;
  wire::BlockPool pool_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  boost::asio::signal_set child_signals_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer flush_timer_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::optional<Child> child_;
  std::function<void()> on_stop_;
  std::function<bool()> busy_;
  std::optional<int> status_;
  bool signalled_ = false;
  boost::asio::steady_timer::time_point give_up_at_;
};

}  // namespace synfin::app
