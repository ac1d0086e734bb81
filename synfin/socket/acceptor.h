// SPDX-License-Identifier: Apache-2.0
//
// A listening socket as a program on Boost.Asio holds one.
#pragma once

#include "synfin/socket/acceptor_impl.h"
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

  bool non_blocking() const { return impl_ != nullptr && impl_->non_blocking; }
  void non_blocking(bool on) { impl().non_blocking = on; }

  void cancel(error_code& ec) {
    impl().cancel();
    ec = {};
  }
  void cancel() { impl().cancel(); }
  /// No more connections; what is outstanding completes with `operation_aborted`.
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
  void set_option(const reuse_address&) {}

 private:
  template <typename>
  friend class basic_acceptor;
  using Impl = socket_detail::AcceptorImpl;

  Impl& impl() {
    if (impl_ == nullptr) impl_ = std::make_unique<Impl>(lifeline_);
    return *impl_;
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
