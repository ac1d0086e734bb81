// SPDX-License-Identifier: Apache-2.0
//
// A listening socket as a program on Boost.Asio holds one.
#pragma once

#include "synfin/socket/acceptor_impl.h"
#include "synfin/socket/pending.h"
#include "synfin/socket/socket.h"

namespace synfin::tcp {

/// Accepts connections, as `boost::asio::ip::tcp::acceptor` does. There is no `open`, and a port in TIME-WAIT
/// is no obstacle, so `reuse_address` needs not be set (and is taken without effect).
template <typename Executor = boost::asio::any_io_executor>
class basic_acceptor : public boost::asio::socket_base {
 public:
  using executor_type = Executor;
  using endpoint_type = endpoint;
  using native_handle_type = stack::Handle;
  using socket_type = basic_socket<Executor>;
  using pending_type = basic_pending_connection<Executor>;

  // Options. Those that are set before `listen` hold from its first SYN on; those that are set later leave
  // what is under way as it is.

  /// Every SYN waits, unanswered, for the program to decide (`async_accept_pending`), and `accept` has
  /// nothing more to give.
  struct hold_syns {
    bool value = true;
    /// SYNs that may wait at a time, in all and of one source address; those beyond are dropped.
    std::uint32_t limit = stack::ListenOptions{}.hold_limit;
    std::uint32_t limit_per_source = stack::ListenOptions{}.hold_limit_per_source;
    /// How long one waits before it is forgotten; more than zero.
    Duration timeout = stack::ListenOptions{}.hold_timeout;
  };
  /// TCP_DEFER_ACCEPT: connections are given to the program when their first data arrives, or after this
  /// time, which counts in SYN-ACK retransmissions (1, 3, 7 … s). Zero: at once.
  struct defer_accept {
    Duration value;
  };
  /// TCP_FASTOPEN (RFC 7413): connections that may be open by a SYN with data alone, at a time; 0 for none.
  /// Needs bit 2 of the setting `tcp_fastopen`. Such data may be delivered twice (§2.1).
  struct fast_open {
    std::uint32_t value = 0;
  };
  /// Whether a peer for which the accept queue has no room is reset; none: the setting
  /// `tcp_abort_on_overflow` decides.
  struct abort_on_overflow {
    std::optional<bool> value;
  };

  template <typename Other>
  struct rebind_executor {
    using other = basic_acceptor<Other>;
  };

  explicit basic_acceptor(runtime::Runtime& runtime) : basic_acceptor(runtime, runtime.get_executor()) {}
  basic_acceptor(runtime::Runtime& runtime, const executor_type& executor)
      : executor_(executor), lifeline_(runtime.lifeline()) {}
  /// Listens at once; throws `system_error` (`address_in_use`, …). An unspecified address stands for all of
  /// its family, `::` for both.
  basic_acceptor(runtime::Runtime& runtime, const endpoint& local, int backlog = max_listen_connections)
      : basic_acceptor(runtime) {
    listen(local, backlog);
  }
  /// A moved-from acceptor is closed and can be used anew.
  basic_acceptor(basic_acceptor&& other) noexcept
      : executor_(other.executor_), lifeline_(other.lifeline_), impl_(std::move(other.impl_)) {}
  template <typename Other>
  requires std::is_convertible_v<Other, Executor> basic_acceptor(
      basic_acceptor<Other>&& other)  // NOLINT(google-explicit-constructor): as Asio's acceptors convert
      : executor_(other.executor_), lifeline_(other.lifeline_), impl_(std::move(other.impl_)) {}
  basic_acceptor& operator=(basic_acceptor&& other) noexcept {
    executor_ = other.executor_;
    lifeline_ = other.lifeline_;
    impl_ = std::move(other.impl_);
    return *this;
  }
  /// Closes; connections that were not accepted are reset.
  ~basic_acceptor() = default;

  executor_type get_executor() const noexcept { return executor_; }
  bool is_open() const noexcept { return impl_ != nullptr && impl_->is_open(); }
  native_handle_type native_handle() const noexcept {
    return impl_ == nullptr ? stack::Handle{} : impl_->handle();
  }

  /// `backlog`: completed connections that may wait to be accepted.
  void listen(const endpoint& local, int backlog, error_code& ec) { ec = impl().listen(local, backlog); }
  void listen(const endpoint& local, int backlog = max_listen_connections) {
    error_code ec;
    listen(local, backlog, ec);
    detail::throw_if(ec, "listen");
  }
  /// Changes the backlog of an acceptor that listens, as a second listen(2) does.
  void listen(int backlog, error_code& ec) { ec = impl().set_backlog(backlog); }
  void listen(int backlog = max_listen_connections) {
    error_code ec;
    listen(backlog, ec);
    detail::throw_if(ec, "listen");
  }

  /// Signature void(error_code, socket_type).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_accept(Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, socket_type)>(Accept{this}, token);
  }
  /// Into a socket that is not open. Signature void(error_code).
  template <typename SocketExecutor, typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_accept(basic_socket<SocketExecutor>& into, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code)>(AcceptInto{this}, token, &into);
  }
  socket_type accept(error_code& ec);
  socket_type accept() {
    error_code ec;
    socket_type accepted = accept(ec);
    detail::throw_if(ec, "accept");
    return accepted;
  }

  /// The oldest SYN that is held (`hold_syns`) and that nobody has been given. Errors:
  /// `operation_not_supported` where none is held and none will be. Signature void(error_code, pending_type).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_accept_pending(Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, pending_type)>(AcceptPending{this}, token);
  }
  pending_type accept_pending(error_code& ec);
  pending_type accept_pending() {
    error_code ec;
    pending_type held = accept_pending(ec);
    detail::throw_if(ec, "accept_pending");
    return held;
  }

  bool non_blocking() const { return impl_ != nullptr && impl_->non_blocking; }
  void non_blocking(bool on) { impl().non_blocking = on; }

  void cancel(error_code& ec) {
    impl().cancel();
    ec = {};
  }
  void cancel() { impl().cancel(); }
  /// No more connections; what is outstanding completes with `operation_aborted`, and what is held is
  /// dropped.
  void close(error_code& ec) { ec = impl().close(); }
  void close() {
    error_code ec;
    close(ec);
    detail::throw_if(ec, "close");
  }

  endpoint local_endpoint(error_code& ec) const {
    if (impl_ != nullptr) return impl_->local_endpoint(ec);
    ec = boost::asio::error::bad_descriptor;
    return {};
  }
  endpoint local_endpoint() const {
    error_code ec;
    const endpoint local = local_endpoint(ec);
    detail::throw_if(ec, "local_endpoint");
    return local;
  }

  void set_option(const reuse_address&, error_code& ec) { ec = {}; }
  void set_option(const hold_syns& option, error_code& ec) {
    stack::ListenOptions wanted = impl().options();
    wanted.hold = option.value;
    wanted.hold_limit = option.limit;
    wanted.hold_limit_per_source = option.limit_per_source;
    wanted.hold_timeout = option.timeout;
    ec = impl_->set_options(wanted);
  }
  void set_option(const defer_accept& option, error_code& ec) {
    stack::ListenOptions wanted = impl().options();
    wanted.defer_accept = option.value;
    ec = impl_->set_options(wanted);
  }
  void set_option(const fast_open& option, error_code& ec) {
    stack::ListenOptions wanted = impl().options();
    wanted.fast_open = option.value;
    ec = impl_->set_options(wanted);
  }
  void set_option(const abort_on_overflow& option, error_code& ec) {
    stack::ListenOptions wanted = impl().options();
    wanted.abort_on_overflow = option.value;
    ec = impl_->set_options(wanted);
  }
  template <typename Option>
  void set_option(const Option& option) {
    error_code ec;
    set_option(option, ec);
    detail::throw_if(ec, "set_option");
  }
  void get_option(hold_syns& option, error_code& ec) const {
    const stack::ListenOptions o = options(ec);
    option = {o.hold, o.hold_limit, o.hold_limit_per_source, o.hold_timeout};
  }
  void get_option(defer_accept& option, error_code& ec) const { option.value = options(ec).defer_accept; }
  void get_option(fast_open& option, error_code& ec) const { option.value = options(ec).fast_open; }
  void get_option(abort_on_overflow& option, error_code& ec) const {
    option.value = options(ec).abort_on_overflow;
  }
  template <typename Option>
  void get_option(Option& option) const {
    error_code ec;
    get_option(option, ec);
    detail::throw_if(ec, "get_option");
  }

 private:
  template <typename>
  friend class basic_acceptor;
  using Impl = socket_detail::AcceptorImpl;

  Impl& impl() {
    if (impl_ == nullptr) impl_ = std::make_unique<Impl>(lifeline_);
    return *impl_;
  }

  stack::ListenOptions options(error_code& ec) const {
    ec = {};
    return impl_ == nullptr ? stack::ListenOptions{} : impl_->options();
  }

  struct Initiation {
    basic_acceptor* self;
    using executor_type = Executor;
    executor_type get_executor() const noexcept { return self->get_executor(); }
  };
  struct Accept : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler) const;
  };
  struct AcceptPending : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler) const;
  };
  struct AcceptInto : Initiation {
    template <typename Handler, typename SocketExecutor>
    void operator()(Handler&& handler, basic_socket<SocketExecutor>* into) const;
  };

  executor_type executor_;
  std::shared_ptr<runtime::Lifeline> lifeline_;
  std::unique_ptr<Impl> impl_;
};

/// The acceptor that programs use.
using acceptor = basic_acceptor<>;

}  // namespace synfin::tcp

#include "synfin/socket/acceptor_inl.h"
