// SPDX-License-Identifier: Apache-2.0
#include "synfin/runtime/runtime.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <tuple>
#include <utility>
#include <vector>

#include "synfin/runtime/closing.h"
#include "synfin/runtime/error.h"
#include "synfin/runtime/system_entropy.h"
#include "synfin/runtime/watchers.h"

namespace synfin::runtime {

namespace asio = boost::asio;

namespace {

Instant steady_now() {
  return Instant::from_ns(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Where a wait of the runtime ends: it was not work while it waited (see Impl::disown), its handler is.
template <typename Executor, typename Handler>
auto disowned(const Executor& executor, Handler handler) {
  return [executor, handler = std::move(handler)](const boost::system::error_code& ec) {
    executor.on_work_started();
    handler(ec);
  };
}

}  // namespace

class Runtime::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Runtime* self, asio::io_context& context, std::unique_ptr<link::Link> link, Options options)
      : options_(std::move(options)),
        context_(context),
        lifeline_(std::make_shared<Lifeline>(self)),
        link_(std::move(link)),
        stack_(config(), pool(), entropy(), options_.sink),
        timer_(context),
        descriptor_(context),
        received_(kBatch),
        sending_(kBatch) {}

  void begin();
  void end();

  wire::BlockPool& pool() { return options_.pool != nullptr ? *options_.pool : own_pool_; }
  Instant now() const { return options_.clock ? options_.clock() : steady_now(); }
  Instant next_deadline() const;

  /// `in_handler`: called from a handler of the io_context, which is where waits can be begun and work be
  /// given up.
  bool pump(bool in_handler);
  void schedule();
  boost::system::error_code block_until(const std::function<bool()>& done);
  void close(stack::Handle handle);
  void abort(stack::Handle handle);

  Options options_;
  asio::io_context& context_;
  std::shared_ptr<Lifeline> lifeline_;
  // Slices in the link and the stack lie in the pool's blocks.
  wire::BlockPool own_pool_;
  SystemEntropy own_entropy_;
  std::unique_ptr<link::Link> link_;
  stack::Stack stack_;
  Watchers watchers_;
  std::optional<link::LinkError> link_error_;
  std::function<void()> on_sent_;
  std::function<void(const link::LinkError&)> on_link_error_;

 private:
  stack::Config config() {
    stack::Config config = options_.config;
    config.mtu = link_->info().mtu;
    config.offload = link_->info().offload;
    return config;
  }
  Entropy& entropy() { return options_.entropy != nullptr ? *options_.entropy : own_entropy_; }

  bool receive();
  bool transmit();
  void dispatch();
  void run_timers();
  void fail(link::LinkError error, Instant now);

  void settle(bool in_handler);
  void arm_timer();
  void arm_descriptor();
  bool must_hold() const { return options_.keep_running || !closing_.empty() || blocked(); }
  bool blocked() const { return first_to_send_ < end_to_send_; }
  bool wait_for_link();
  void disown() { context_.get_executor().on_work_finished(); }

  Closing closing_;
  asio::steady_timer timer_;
  asio::posix::stream_descriptor descriptor_;
  std::optional<asio::executor_work_guard<executor_type>> hold_;
  std::vector<wire::Frame> received_;
  // What the stack gave and the link has not taken yet: [first, end).
  std::vector<wire::Frame> sending_;
  std::size_t first_to_send_ = 0;
  std::size_t end_to_send_ = 0;
  Instant armed_ = Instant::never();
  bool readable_ = true;  // something may have arrived, for all that is known
  bool waiting_to_read_ = false;
  bool waiting_to_write_ = false;
  bool scheduled_ = false;
  bool pumping_ = false;
  bool more_ = false;  // the last pump stopped for fairness, not because there was nothing left
};

// --- The loop ---

bool Runtime::Impl::pump(bool in_handler) {
  if (pumping_) return false;  // a callback or the trace sink came back to us
  pumping_ = true;
  // What the program left goes first where nothing says that something has arrived: a look for that is a call
  // of the system, and finds more behind what was sent.
  bool moved = !std::exchange(readable_, link_->descriptor() < 0) && transmit();
  std::size_t batches = 0;
  for (bool answers = true; answers && batches < kMaxBatches && receive();) {
    ++batches;
    dispatch();
    // What is sent to a kernel is answered before the call has returned.
    answers = transmit() || link_->may_have_more();
    moved = true;
  }
  more_ = batches == kMaxBatches;
  run_timers();
  dispatch();
  moved |= transmit();
  closing_.check(stack_);
  pumping_ = false;
  if (more_) schedule();
  settle(in_handler);
  if (moved && on_sent_) on_sent_();
  return moved;
}

// Each step reads the clock anew: what sockets did in between was later than the step before.
bool Runtime::Impl::receive() {
  if (link_error_) return false;
  const Instant now = this->now();
  const auto count = link_->receive(received_, now);
  if (!count) {
    fail(count.error(), now);
    return false;
  }
  if (*count == 0) return false;
  stack_.receive(std::span(received_).first(*count), now);
  return true;
}

bool Runtime::Impl::transmit() {
  if (!blocked() && !stack_.has_output()) return false;
  const Instant now = this->now();
  bool moved = false;
  while (!link_error_) {
    if (!blocked()) {
      first_to_send_ = 0;
      end_to_send_ = stack_.transmit(sending_, now);
      if (end_to_send_ == 0) break;
    }
    const auto offered = std::span(sending_).subspan(first_to_send_, end_to_send_ - first_to_send_);
    const auto taken = link_->send(offered, now);
    if (!taken) {
      fail(taken.error(), now);
      break;
    }
    moved |= *taken != 0;
    first_to_send_ += *taken;
    if (blocked()) break;
  }
  return moved;
}

void Runtime::Impl::dispatch() {
  while (const auto event = stack_.poll_event()) {
    if (Watcher* const watcher = watchers_.find(event->handle)) watcher->on_socket_event(event->what);
  }
}

void Runtime::Impl::run_timers() {
  const Instant now = this->now();
  if (stack_.next_deadline() <= now) stack_.advance(now);
}

void Runtime::Impl::fail(link::LinkError error, Instant now) {
  link_error_ = std::move(error);
  for (wire::Frame& f : sending_) f.clear();
  first_to_send_ = end_to_send_ = 0;
  stack_.shut_down(now);
  dispatch();
  // Listeners are gone without an event, as the program closes them elsewhere.
  for (Watcher* const watcher : watchers_.of_listeners()) watcher->on_socket_event(stack::kFailed);
  // The resets have nowhere to go.
  while (stack_.transmit(sending_, now) != 0) {
    for (wire::Frame& f : sending_) f.clear();
  }
  if (on_link_error_)
    asio::post(context_, [callback = std::move(on_link_error_), e = *link_error_] { callback(e); });
}

Instant Runtime::Impl::next_deadline() const {
  return std::min(stack_.next_deadline(), link_error_ ? Instant::never() : link_->next_deadline());
}

// --- Waiting ---

void Runtime::Impl::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  asio::post(context_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->scheduled_ = false;
    self->pump(true);
  });
}

// After a pump: waits for what comes next, and lets go of the io_context or holds it.
//
// The waits are not to count as work, and Asio has no such waits; so each takes its one unit of outstanding
// work back once it has begun, and its handler gives it again. That is only sound inside a handler, whose own
// unit keeps the count above zero: the count reaching zero outside of `run` would stop the io_context before
// the program has begun.
void Runtime::Impl::settle(bool in_handler) {
  if (must_hold() && !hold_) hold_.emplace(context_.get_executor());
  if (in_handler) {
    if (!must_hold()) hold_.reset();
    if (options_.drive == Drive::kAutomatic) {
      arm_descriptor();
      arm_timer();
    }
  } else if (options_.drive == Drive::kAutomatic || (hold_ && !must_hold())) {
    schedule();
  }
}

void Runtime::Impl::arm_timer() {
  constexpr Duration kRetry = Duration::milliseconds(1);
  Instant at = next_deadline();
  // Nothing says when a link without a descriptor has room again.
  if (blocked() && !descriptor_.is_open()) at = std::min(at, now() + kRetry);
  // A wait that ends too early costs one idle turn, and less than moving it at every acknowledgement.
  if (at.is_never() || at >= armed_) return;
  armed_ = at;
  const Duration left = std::max(at - now(), Duration::zero());
  timer_.expires_after(std::chrono::nanoseconds(left.ns()));
  timer_.async_wait(
      disowned(context_.get_executor(), [weak = weak_from_this()](const boost::system::error_code& ec) {
        const auto self = weak.lock();
        if (ec || !self) return;  // moved to an earlier time, or gone
        self->armed_ = Instant::never();
        self->pump(true);
      }));
  disown();
}

void Runtime::Impl::arm_descriptor() {
  if (!descriptor_.is_open() || link_error_) return;
  const auto wait = [this](asio::posix::descriptor_base::wait_type what, bool Impl::*waiting) {
    if (this->*waiting) return;
    this->*waiting = true;
    descriptor_.async_wait(what, disowned(context_.get_executor(), [weak = weak_from_this(), waiting](
                                                                       const boost::system::error_code& ec) {
                             const auto self = weak.lock();
                             if (!self) return;
                             (*self).*waiting = false;
                             if (ec) return;
                             self->readable_ |= waiting == &Impl::waiting_to_read_;
                             self->pump(true);
                           }));
    disown();
  };
  wait(asio::posix::descriptor_base::wait_read, &Impl::waiting_to_read_);
  if (blocked()) wait(asio::posix::descriptor_base::wait_write, &Impl::waiting_to_write_);
}

boost::system::error_code Runtime::Impl::block_until(const std::function<bool()>& done) {
  for (;;) {
    pump(false);
    if (done()) break;
    if (link_error_) return asio::error::network_down;
    if (!more_ && !wait_for_link()) return asio::error::operation_not_supported;
  }
  schedule();  // what `done` did may have left output
  return {};
}

bool Runtime::Impl::wait_for_link() {
  const Instant until = next_deadline();
  if (options_.wait) {
    options_.wait(until);
    readable_ = true;
    return true;
  }
  pollfd p{link_->descriptor(), POLLIN, 0};
  if (blocked()) p.events |= POLLOUT;
  if (p.fd < 0 && until.is_never()) return false;
  const std::int64_t left = std::max(until - now(), Duration::zero()).ns();
  const timespec limit{left / 1'000'000'000, left % 1'000'000'000};
  // An interrupted wait is an early one: the caller looks again.
  ::ppoll(&p, p.fd < 0 ? 0 : 1, until.is_never() ? nullptr : &limit, nullptr);
  readable_ |= (p.revents & POLLIN) != 0;
  return true;
}

// --- Closing ---

void Runtime::Impl::close(stack::Handle handle) {
  watchers_.erase(handle);
  const auto status = stack_.status(handle);
  stack_.close(handle, now());
  if (status && handle.kind() == stack::HandleKind::kConnection) closing_.add(status->tuple, stack_);
  settle(false);
  schedule();
}

void Runtime::Impl::abort(stack::Handle handle) {
  watchers_.erase(handle);
  stack_.abort(handle, now());
  schedule();
}

// --- Beginning and end ---

void Runtime::Impl::begin() {
  if (options_.drive == Drive::kAutomatic && link_->descriptor() >= 0)
    descriptor_.assign(link_->descriptor());
  if (options_.keep_running) hold_.emplace(context_.get_executor());
  if (options_.drive == Drive::kAutomatic) schedule();
}

void Runtime::Impl::end() {
  lifeline_->runtime = nullptr;
  for (Watcher* const w : watchers_.take_all()) w->on_runtime_end();
  on_link_error_ = nullptr;
  if (!link_error_) {
    stack_.shut_down(now());
    transmit();
  }
  // The descriptor is the link's to close.
  if (descriptor_.is_open()) descriptor_.release();
  // Let go inside of a handler, as always.
  if (hold_) asio::post(context_, [hold = std::move(*hold_)] {});
}

Runtime::Runtime(asio::io_context& context, std::unique_ptr<link::Link> link, Options options)
    : impl_(std::make_shared<Impl>(this, context, std::move(link), std::move(options))) {
  impl_->begin();
}

Runtime::~Runtime() {
  impl_->end();
}

auto Runtime::get_executor() const noexcept -> executor_type {
  return impl_->context_.get_executor();
}
asio::io_context& Runtime::context() const noexcept {
  return impl_->context_;
}
stack::Stack& Runtime::stack() noexcept {
  return impl_->stack_;
}
const link::Link& Runtime::link() const noexcept {
  return *impl_->link_;
}
wire::BlockPool& Runtime::pool() noexcept {
  return impl_->pool();
}
Instant Runtime::now() const {
  return impl_->now();
}
bool Runtime::pump() {
  return impl_->pump(false);
}
Instant Runtime::next_deadline() const {
  return impl_->next_deadline();
}
void Runtime::schedule() {
  impl_->schedule();
}
void Runtime::on_sent(std::function<void()> callback) {
  impl_->on_sent_ = std::move(callback);
}
void Runtime::stop() {
  impl_->options_.keep_running = false;
  impl_->schedule();
}
const std::optional<link::LinkError>& Runtime::link_error() const noexcept {
  return impl_->link_error_;
}
void Runtime::on_link_error(std::function<void(const link::LinkError&)> callback) {
  impl_->on_link_error_ = std::move(callback);
}
void Runtime::register_socket(stack::Handle handle, Watcher& watcher) {
  impl_->watchers_.put(handle, &watcher);
}
void Runtime::unregister_socket(stack::Handle handle) {
  impl_->watchers_.erase(handle);
}
void Runtime::close(stack::Handle handle) {
  impl_->close(handle);
}
void Runtime::abort(stack::Handle handle) {
  impl_->abort(handle);
}
boost::system::error_code Runtime::translate(tcp::Error error) const {
  if (error == tcp::Error::kStackShutdown && impl_->link_error_) return asio::error::network_down;
  return tcp::make_error_code(error);
}
boost::system::error_code Runtime::block_until(const std::function<bool()>& done) {
  return impl_->block_until(done);
}
const std::shared_ptr<Lifeline>& Runtime::lifeline() const noexcept {
  return impl_->lifeline_;
}

}  // namespace synfin::runtime
