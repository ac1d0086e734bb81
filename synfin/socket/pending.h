// SPDX-License-Identifier: Apache-2.0
//
// A SYN that waits for the program's decision, as a program on Boost.Asio holds one.
#pragma once

#include "synfin/socket/pending_impl.h"
#include "synfin/socket/socket.h"

namespace synfin::tcp {

/// Somebody knocks at an acceptor with `hold_syns`, and has not been answered yet: a proxy can dial upstream
/// first, and say the truth about what it finds. Given by `async_accept_pending`. The program decides once,
/// with `accept`, `reject`, `drop` or `unreachable`; the peer, which hears nothing meanwhile, sends its SYN
/// again and again, and those SYNs belong to the same object.
///
/// Destruction drops the SYN. A move takes the operations that are outstanding along, and leaves an object
/// that is not open. Not thread-safe, and tied to the thread of its runtime. May outlive acceptor and
/// runtime.
///
/// Errors of all decisions:
///   - `connection_aborted`: the SYN is gone, as the peer took it back, `hold_syns::timeout` is over or the
///   acceptor was closed (`network_down` where the link has failed);
///   - `bad_descriptor`: the decision has been made already; `already_started` while `async_accept` goes on;
///   - `operation_aborted`: the runtime is gone;
///   - `no_buffer_space`: no memory for a connection; the SYN is still held.
template <typename Executor = boost::asio::any_io_executor>
class basic_pending_connection {
 public:
  using executor_type = Executor;
  using endpoint_type = endpoint;
  using native_handle_type = stack::Handle;
  using socket_type = basic_socket<Executor>;

  template <typename Other>
  struct rebind_executor {
    using other = basic_pending_connection<Other>;
  };

  basic_pending_connection(basic_pending_connection&& other) noexcept
      : executor_(other.executor_), lifeline_(other.lifeline_), impl_(std::move(other.impl_)) {}
  basic_pending_connection& operator=(basic_pending_connection&& other) noexcept {
    executor_ = other.executor_;
    lifeline_ = other.lifeline_;
    impl_ = std::move(other.impl_);
    return *this;
  }
  ~basic_pending_connection() = default;

  executor_type get_executor() const noexcept { return executor_; }
  /// Whether the SYN still waits for the decision, or the handshake of `async_accept` goes on.
  bool is_open() const { return impl_ != nullptr && impl_->is_open(); }
  native_handle_type native_handle() const noexcept {
    return impl_ == nullptr ? stack::Handle{} : impl_->handle();
  }

  /// Who knocks; known as long as the object lives.
  endpoint remote_endpoint() const noexcept { return impl_ == nullptr ? endpoint{} : impl_->remote(); }
  /// At which address and port.
  endpoint local_endpoint() const noexcept { return impl_ == nullptr ? endpoint{} : impl_->local(); }

  /// Answers the SYN, and waits for nothing: the socket is in SYN-RECEIVED. What is written to it leaves as
  /// soon as the third segment has come; `wait(wait_write)` waits for that, and reads wait for data. If the
  /// handshake fails, they say why (`timed_out`, `connection_reset`).
  socket_type accept(error_code& ec);
  socket_type accept() {
    error_code ec;
    socket_type accepted = accept(ec);
    detail::throw_if(ec, "accept");
    return accepted;
  }
  /// Answers the SYN; completes when the handshake is whole, or with what became of it. Cancelling it, or
  /// destroying the object, resets the half-open connection. Signature void(error_code, socket_type).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_accept(Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, socket_type)>(Accept{this}, token);
  }

  /// Answers with a reset, as if nobody listened: the peer's connection is refused.
  void reject(error_code& ec) { ec = decide(&Impl::reject); }
  void reject() {
    error_code ec;
    reject(ec);
    detail::throw_if(ec, "reject");
  }
  /// Answers nothing; if the peer tries again, that is a new pending connection.
  void drop(error_code& ec) { ec = decide(&Impl::drop); }
  void drop() {
    error_code ec;
    drop(ec);
    detail::throw_if(ec, "drop");
  }
  /// Answers with an ICMP error. Most peers go on trying for a while, except after `kPort` and `kProhibited`
  /// (RFC 5461 §4).
  void unreachable(stack::Unreachable what, error_code& ec) { ec = decide(&Impl::unreachable, what); }
  void unreachable(stack::Unreachable what) {
    error_code ec;
    unreachable(what, ec);
    detail::throw_if(ec, "unreachable");
  }

  /// Completes without error when the SYN is gone and there is nothing to decide any more, so that a proxy
  /// can stop dialling; with `operation_aborted` when the program decides first. Signature void(error_code).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_wait_withdrawn(Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code)>(WaitWithdrawn{this}, token);
  }

  /// What is outstanding completes with `operation_aborted`; a SYN that is held stays so.
  void cancel() {
    if (impl_ != nullptr) impl_->cancel();
  }

  /// For acceptors: an object over a held SYN that nobody else holds, or over nothing.
  static basic_pending_connection adopt(const executor_type& executor,
                                        std::shared_ptr<runtime::Lifeline> lifeline, stack::Handle handle) {
    basic_pending_connection pending(executor, std::move(lifeline));
    if (handle) pending.impl_ = std::make_unique<Impl>(pending.lifeline_, handle);
    return pending;
  }

 private:
  using Impl = socket_detail::PendingImpl;

  basic_pending_connection(const executor_type& executor, std::shared_ptr<runtime::Lifeline> lifeline)
      : executor_(executor), lifeline_(std::move(lifeline)) {}

  template <typename... Arguments>
  error_code decide(error_code (Impl::*decision)(Arguments...), Arguments... arguments) {
    if (impl_ == nullptr) return boost::asio::error::bad_descriptor;
    return (impl_.get()->*decision)(arguments...);
  }

  struct Initiation {
    basic_pending_connection* self;
    using executor_type = Executor;
    executor_type get_executor() const noexcept { return self->get_executor(); }
  };
  struct Accept : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler) const;
  };
  struct WaitWithdrawn : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler) const;
  };

  executor_type executor_;
  std::shared_ptr<runtime::Lifeline> lifeline_;
  std::unique_ptr<Impl> impl_;
};

/// The one that programs use.
using pending_connection = basic_pending_connection<>;

template <typename Executor>
auto basic_pending_connection<Executor>::accept(error_code& ec) -> socket_type {
  ec = boost::asio::error::bad_descriptor;
  stack::Handle accepted;
  if (impl_ != nullptr) ec = impl_->accept(accepted);
  return socket_type::adopt(executor_, lifeline_, accepted, socket_detail::Handshake::kGoesOn);
}

template <typename Executor>
template <typename Handler>
void basic_pending_connection<Executor>::Accept::operator()(Handler&& handler) const {
  auto& p = *this->self;
  socket_detail::HandshakeAction<socket_type> action{p.impl_.get(), p.executor_, p.lifeline_};
  if (p.impl_ == nullptr) {
    socket_detail::post_result(p.executor_, std::decay_t<Handler>(std::forward<Handler>(handler)),
                               action.failure(boost::asio::error::bad_descriptor));
    return;
  }
  if (const error_code ec = p.impl_->start_accept()) action.refused_at_once = ec;
  socket_detail::start_operation(p.impl_->accepts, p.executor_, std::move(action),
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler>
void basic_pending_connection<Executor>::WaitWithdrawn::operator()(Handler&& handler) const {
  auto& p = *this->self;
  socket_detail::WithdrawalAction action{p.impl_.get()};
  if (p.impl_ == nullptr) {
    socket_detail::post_result(p.executor_, std::decay_t<Handler>(std::forward<Handler>(handler)),
                               action.failure(boost::asio::error::bad_descriptor));
    return;
  }
  socket_detail::start_operation(p.impl_->withdrawals, p.executor_, action,
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

}  // namespace synfin::tcp
