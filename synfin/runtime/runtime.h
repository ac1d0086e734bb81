// SPDX-License-Identifier: Apache-2.0
//
// The loop that joins a link, a stack and a clock on the thread of one io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/link/link.h"
#include "synfin/runtime/watcher.h"
#include "synfin/stack/stack.h"
#include "synfin/wire/frame.h"

namespace synfin::runtime {

class Runtime;

/// How sockets hold on to a runtime that may end before them: `runtime` becomes null when it does.
struct Lifeline {
  Runtime* runtime = nullptr;
};

/// What waits for the link and for time.
enum class Drive : std::uint8_t {
  /// The runtime itself, through the io_context: the link's descriptor and a timer on the steady clock. A
  /// link without a descriptor is looked at whenever `wake` is called and whenever the timer runs out.
  kAutomatic,
  /// The embedder, which calls `pump` whenever frames may have arrived or `next_deadline` has passed: tests
  /// and simulations in virtual time. Output of socket calls still leaves by a handler posted to the
  /// io_context.
  kManual,
};

struct Options {
  /// Addresses and settings. `mtu` and `offload` are taken from the link.
  stack::Config config{};
  /// Whether the runtime keeps `io_context::run` from returning; see Runtime.
  bool keep_running = false;
  Drive drive = Drive::kAutomatic;
  /// Memory of packets; null: the runtime owns one. Links that share frames (the in-memory pair) and links
  /// that read into blocks need one that outlives them and the runtime.
  wire::BlockPool* pool = nullptr;
  /// Null: the system's. Must outlive the runtime.
  Entropy* entropy = nullptr;
  /// Null: nobody. Must outlive the runtime.
  trace::Sink* sink = nullptr;
  /// What time it is; empty: the steady clock. Must not go back.
  std::function<Instant()> clock{};
  /// How a blocking call waits; empty: poll(2) on the link's descriptor until the given instant. A test in
  /// virtual time moves its clock and its peers here. Must not run handlers of the io_context.
  std::function<void(Instant until)> wait{};
};

/// Joins one link, one stack and one `io_context`; everything happens on the one thread that runs the
/// `io_context`.
///
/// Sockets (socket/socket.h) make calls on the stack and tell the runtime of it (`schedule`). The runtime
/// reads the link in batches, runs the stack's timers, tells watchers of socket events, and sends what the
/// stack has to send. What a link does not take is kept and offered again; the stack is not asked for more
/// until then.
///
/// Work, in the sense of `io_context::run`: waiting for the link and for timers is not work, so an idle stack
/// does not keep a program from ending, just as the kernel's does not. `run` goes on while
///   - an asynchronous operation of a socket or acceptor is outstanding,
///   - a connection that the program has closed is not closed in both directions yet (tcp_fin_timeout bounds
///     that; TIME-WAIT does not count),
///   - the link has refused frames that are still to be sent,
///   - or `Options::keep_running` is set, until `stop` is called.
/// While something else keeps `run` going (a timer of the program, say), the link is served all the same.
///
/// When the runtime ends, it resets what is still open, so that peers are not left hanging, and the
/// operations that are pending complete with `operation_aborted`. Sockets may outlive it. The `io_context`
/// must outlive it.
///
/// When the link fails, all connections and listeners fail with `network_down`, and so does every later
/// connect and listen.
class Runtime {
 public:
  Runtime(boost::asio::io_context& context, std::unique_ptr<link::Link> link, Options options);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  using executor_type = boost::asio::io_context::executor_type;
  executor_type get_executor() const noexcept;
  boost::asio::io_context& context() const noexcept;

  /// Calls on the stack that leave packets or events behind must be followed by `schedule`.
  stack::Stack& stack() noexcept;
  const link::Link& link() const noexcept;
  wire::BlockPool& pool() noexcept;
  Instant now() const;

  /// Does all there is to do now, at most kMaxBatches batches from the link, and posts itself for the rest.
  /// Returns whether anything arrived or left.
  bool pump();
  /// When `pump` is due although nothing arrived.
  Instant next_deadline() const;
  /// Posts a `pump`, unless one is posted: output or events are waiting in the stack.
  void schedule();
  /// The same, for whoever knows that frames wait in a link that has no descriptor.
  void wake() { schedule(); }
  /// Called whenever frames have been handed to the link: lets two runtimes on an in-memory pair `wake` each
  /// other.
  void on_sent(std::function<void()> callback);

  /// No longer keeps `run` going because of `Options::keep_running`.
  void stop();

  /// Why the link failed; none while it works.
  const std::optional<link::LinkError>& link_error() const noexcept;
  /// Called once, from a handler of the io_context or a `pump`, when the link fails.
  void on_link_error(std::function<void(const link::LinkError&)> callback);

  // For the socket room.

  /// Tells `watcher` of the handle's events from now on; replaces an earlier watcher.
  void register_socket(stack::Handle handle, Watcher& watcher);
  void unregister_socket(stack::Handle handle);
  /// CLOSE, and forgets the watcher. What is yet to be delivered keeps `run` going.
  void close(stack::Handle handle);
  /// ABORT, and forgets the watcher.
  void abort(stack::Handle handle);
  /// An error of the stack as sockets report it: kStackShutdown is `network_down` where the link has failed.
  boost::system::error_code translate(tcp::Error error) const;
  /// Blocks the thread until `done` says so, moving packets but running no handlers. Errors: `network_down`;
  /// `operation_not_supported` where nothing could ever wake it (no descriptor, no deadline, no
  /// `Options::wait`).
  boost::system::error_code block_until(const std::function<bool()>& done);
  const std::shared_ptr<Lifeline>& lifeline() const noexcept;

  /// Frames a batch.
  static constexpr std::size_t kBatch = 64;
  /// Batches that one `pump` takes from the link before others get a turn.
  static constexpr std::size_t kMaxBatches = 16;

 private:
  class Impl;
  // Shared, as handlers that the io_context still holds look whether it is there.
  std::shared_ptr<Impl> impl_;
};

}  // namespace synfin::runtime
