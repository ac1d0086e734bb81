// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection as a program on Boost.Asio holds one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_socket.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <memory>

#include "synfin/runtime/error.h"
#include "synfin/runtime/runtime.h"
#include "synfin/socket/endpoint.h"
#include "synfin/socket/socket_impl.h"

namespace synfin::tcp {

using error_code = boost::system::error_code;

namespace detail {
inline void throw_if(const error_code& ec, const char* what) {
  if (ec) throw boost::system::system_error(ec, what);
}
}  // namespace detail

/// A TCP connection, used as `boost::asio::ip::tcp::socket` is: it meets AsyncReadStream, AsyncWriteStream,
/// SyncReadStream and SyncWriteStream. Handlers are called by their associated executor, never from within
/// the function that began the operation; associated allocators and cancellation slots are honoured
/// (terminal, partial and total alike: what has been moved is never lost).
///
/// Not thread-safe, and tied to the thread of its runtime. May outlive the runtime; everything then fails
/// with `operation_aborted`.
///
/// Where it differs from a kernel socket:
///   - there is no `open`: the family follows from the endpoint. `is_open` says whether there is a connection
///   or an attempt at one;
///   - an attempt to connect that fails or is cancelled leaves the socket closed, ready for another;
///   - destruction and `close` release the connection in order (FIN after what was written), and the stack
///   delivers the rest; with unread
///     data it is reset (RFC 1122 §4.2.2.13), and with `linger(true, 0)` too. With `linger(true, t)` it is
///     reset if the peer has not acknowledged everything t seconds later. No call waits for that.
template <typename Executor = boost::asio::any_io_executor>
class basic_socket : public boost::asio::socket_base {
 public:
  using executor_type = Executor;
  using endpoint_type = endpoint;
  using native_handle_type = stack::Handle;
  using lowest_layer_type = basic_socket;
  using no_delay = boost::asio::ip::tcp::no_delay;
  /// How long data may stay unacknowledged before the connection is given up (RFC 9293 §3.8.3); zero: the
  /// settings decide.
  struct user_timeout {
    Duration value;
  };
  /// TCP Fast Open (RFC 7413) for the next connect, as TCP_FASTOPEN_CONNECT: what is written after
  /// `async_connect` was called, and before the handler that called it has returned, goes with the SYN where
  /// a cookie of the peer is known. The peer may get that data twice (§2.1).
  struct fast_open {
    bool value;
  };

  template <typename Other>
  struct rebind_executor {
    using other = basic_socket<Other>;
  };

  explicit basic_socket(runtime::Runtime& runtime)
      : basic_socket(runtime.get_executor(), runtime.lifeline()) {}
  /// Handlers without an executor of their own use `executor`, which must belong to the runtime's io_context.
  basic_socket(runtime::Runtime& runtime, const executor_type& executor)
      : basic_socket(executor, runtime.lifeline()) {}
  /// A moved-from socket is closed and can be used anew. Operations that are outstanding go with the
  /// connection.
  basic_socket(basic_socket&& other) noexcept
      : executor_(other.executor_), lifeline_(other.lifeline_), impl_(std::move(other.impl_)) {}
  template <typename Other>
  requires std::is_convertible_v<Other, Executor> basic_socket(
      basic_socket<Other>&& other)  // NOLINT(google-explicit-constructor): as Asio's sockets convert
      : executor_(other.executor_), lifeline_(other.lifeline_), impl_(std::move(other.impl_)) {}
  basic_socket& operator=(basic_socket&& other) noexcept {
    executor_ = other.executor_;
    lifeline_ = other.lifeline_;
    impl_ = std::move(other.impl_);
    return *this;
  }
  ~basic_socket() = default;

  executor_type get_executor() const noexcept { return executor_; }
  lowest_layer_type& lowest_layer() noexcept { return *this; }
  const lowest_layer_type& lowest_layer() const noexcept { return *this; }

  bool is_open() const noexcept { return impl_ != nullptr && impl_->is_open(); }
  /// The stack's name for the connection; empty where there is none.
  native_handle_type native_handle() const noexcept {
    return impl_ == nullptr ? stack::Handle{} : impl_->handle();
  }

  /// The local address and port of the next connect; an unspecified address or port 0 leaves the choice to
  /// the stack.
  void bind(const endpoint& local, error_code& ec) { ec = impl().bind(local); }
  void bind(const endpoint& local) {
    throwing("bind", [&](error_code& ec) { bind(local, ec); });
  }

  void connect(const endpoint& remote, error_code& ec);
  void connect(const endpoint& remote) {
    throwing("connect", [&](error_code& ec) { connect(remote, ec); });
  }
  /// Signature void(error_code).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_connect(const endpoint& remote, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code)>(Connect{this}, token, remote);
  }

  /// Reads at least one octet; `eof` at the end of the stream.
  template <typename MutableBuffers>
  std::size_t read_some(const MutableBuffers& buffers, error_code& ec);
  template <typename MutableBuffers>
  std::size_t read_some(const MutableBuffers& buffers) {
    return throwing("read_some", [&](error_code& ec) { return read_some(buffers, ec); });
  }
  /// Signature void(error_code, std::size_t).
  template <typename MutableBuffers, typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_read_some(const MutableBuffers& buffers, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(Read{this}, token, buffers);
  }

  /// Queues at least one octet to be sent. Success does not say that it has arrived.
  template <typename ConstBuffers>
  std::size_t write_some(const ConstBuffers& buffers, error_code& ec);
  template <typename ConstBuffers>
  std::size_t write_some(const ConstBuffers& buffers) {
    return throwing("write_some", [&](error_code& ec) { return write_some(buffers, ec); });
  }
  template <typename ConstBuffers, typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_write_some(const ConstBuffers& buffers, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(Write{this}, token, buffers);
  }

  /// As `async_read_some`, without a copy: fills `into` from its front with the slices in which octets
  /// arrived; those behind stay as they are. They live in the runtime's pool, on its thread, and must not
  /// outlive it. The span must last until the handler is called. Signature void(error_code, std::size_t).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_read_shared(std::span<wire::Slice> into, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(ReadShared{this}, token, into);
  }
  /// As `async_write_some`, without a copy: what is taken leaves `from`, and the stack shares it until it is
  /// acknowledged. Slices come from `async_read_shared`, or from `Runtime::pool()`, which takes a program's
  /// own memory by `lend`. The span must last until the handler is called.
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_write_shared(std::span<wire::Slice> from, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(WriteShared{this}, token, from);
  }

  // The names that `boost::asio::ip::tcp::socket` has for the same.
  template <typename MutableBuffers, typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_receive(const MutableBuffers& buffers, Token&& token = Token()) {
    return async_read_some(buffers, std::forward<Token>(token));
  }
  template <typename ConstBuffers, typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_send(const ConstBuffers& buffers, Token&& token = Token()) {
    return async_write_some(buffers, std::forward<Token>(token));
  }

  /// Ready when the matching call would not block, errors and end of stream included. `wait_error` is ready
  /// when the connection has failed.
  void wait(wait_type what, error_code& ec);
  void wait(wait_type what) {
    throwing("wait", [&](error_code& ec) { wait(what, ec); });
  }
  /// Signature void(error_code).
  template <typename Token = boost::asio::default_completion_token_t<executor_type>>
  auto async_wait(wait_type what, Token&& token = Token()) {
    return boost::asio::async_initiate<Token, void(error_code)>(Wait{this}, token, what);
  }

  /// Octets that can be read without blocking.
  std::size_t available(error_code& ec) const {
    return shared([&](auto& i) { return i.available(ec); }, ec);
  }
  std::size_t available() const {
    return throwing("available", [&](error_code& ec) { return available(ec); });
  }

  /// Whether blocking calls fail with `would_block` instead of blocking. Asynchronous ones do not care.
  bool non_blocking() const { return impl_ != nullptr && impl_->non_blocking; }
  void non_blocking(bool on) { impl().non_blocking = on; }
  void non_blocking(bool on, error_code& ec) {
    impl().non_blocking = on;
    ec = {};
  }

  /// `shutdown_send`: FIN after what has been written. `shutdown_receive`: what still arrives is thrown away.
  void shutdown(shutdown_type what, error_code& ec) {
    ec = impl().shutdown(what == shutdown_send      ? stack::Shutdown::kSend
                         : what == shutdown_receive ? stack::Shutdown::kReceive
                                                    : stack::Shutdown::kBoth);
  }
  void shutdown(shutdown_type what) {
    throwing("shutdown", [&](error_code& ec) { shutdown(what, ec); });
  }
  /// Orderly release; what is outstanding completes with `operation_aborted`.
  void close(error_code& ec) { ec = impl().close(); }
  void close() {
    throwing("close", [&](error_code& ec) { close(ec); });
  }
  /// Reset; unsent and unread data is lost.
  void abort() { impl().abort(); }
  /// Everything outstanding completes with `operation_aborted`; a connection stays, an attempt to connect
  /// ends.
  void cancel(error_code& ec) {
    impl().cancel();
    ec = {};
  }
  void cancel() { impl().cancel(); }

  endpoint local_endpoint(error_code& ec) const {
    return shared([&](auto& i) { return i.local_endpoint(ec); }, ec);
  }
  endpoint local_endpoint() const {
    return throwing("local_endpoint", [&](error_code& ec) { return local_endpoint(ec); });
  }
  endpoint remote_endpoint(error_code& ec) const {
    return shared([&](auto& i) { return i.remote_endpoint(ec); }, ec);
  }
  endpoint remote_endpoint() const {
    return throwing("remote_endpoint", [&](error_code& ec) { return remote_endpoint(ec); });
  }
  /// STATUS of RFC 9293 §3.10.6.
  stack::Status status(error_code& ec) const {
    return shared([&](auto& i) { return i.status(ec); }, ec);
  }
  stack::Status status() const {
    return throwing("status", [&](error_code& ec) { return status(ec); });
  }
  /// How the connection ended: the cause, and the segment that brought it about.
  tcp::Ending ending(error_code& ec) const {
    return shared([&](const Impl& i) { return i.ending(ec); }, ec);
  }
  tcp::Ending ending() const {
    return throwing("ending", [&](error_code& ec) { return ending(ec); });
  }

  // Options. They may be set before the connection exists.
  void set_option(const no_delay& option, error_code& ec) {
    change(ec, [&](tcp::Options& o) { o.no_delay = option.value(); });
  }
  void set_option(const keep_alive& option, error_code& ec) {
    change(ec, [&](tcp::Options& o) { o.keepalive = option.value(); });
  }
  void set_option(const user_timeout& option, error_code& ec) {
    change(ec, [&](tcp::Options& o) { o.user_timeout = option.value; });
  }
  void set_option(const linger& option, error_code& ec) {
    change(ec, [&](tcp::Options& o) {
      o.linger = option.enabled() ? std::optional(Duration::seconds(option.timeout())) : std::nullopt;
    });
  }
  void set_option(const fast_open& option, error_code& ec) {
    impl().fast_open = option.value;
    ec = {};
  }
  template <typename Option>
  void set_option(const Option& option) {
    throwing("set_option", [&](error_code& ec) { set_option(option, ec); });
  }
  void get_option(no_delay& option, error_code& ec) const { option = no_delay(all_options(ec).no_delay); }
  void get_option(keep_alive& option, error_code& ec) const {
    option = keep_alive(all_options(ec).keepalive);
  }
  void get_option(user_timeout& option, error_code& ec) const { option.value = all_options(ec).user_timeout; }
  void get_option(linger& option, error_code& ec) const {
    const std::optional<Duration> on = all_options(ec).linger;
    option = linger(on.has_value(), on ? static_cast<int>(on->ns() / 1'000'000'000) : 0);
  }
  template <typename Option>
  void get_option(Option& option) const {
    throwing("get_option", [&](error_code& ec) { get_option(option, ec); });
  }

  /// All that can be chosen, at once (keep-alive's times, FIN-WAIT-2's, …). Errors: invalid_argument.
  void set_options(const tcp::Options& options, error_code& ec) { ec = impl().set_options(options); }
  void set_options(const tcp::Options& options) {
    throwing("set_options", [&](error_code& ec) { set_options(options, ec); });
  }
  tcp::Options all_options(error_code& ec) const {
    ec = {};
    return impl_ == nullptr ? tcp::Options{} : impl_->options();
  }

  /// For acceptors: a socket over a connection that nobody else holds.
  static basic_socket adopt(const executor_type& executor, std::shared_ptr<runtime::Lifeline> lifeline,
                            stack::Handle handle,
                            socket_detail::Handshake handshake = socket_detail::Handshake::kDone) {
    basic_socket socket(executor, std::move(lifeline));
    if (handle) socket.impl().adopt(handle, handshake);
    return socket;
  }

 private:
  template <typename>
  friend class basic_socket;
  using Impl = socket_detail::SocketImpl;

  basic_socket(const executor_type& executor, std::shared_ptr<runtime::Lifeline> lifeline)
      : executor_(executor), lifeline_(std::move(lifeline)) {}

  Impl& impl() {
    if (impl_ == nullptr) impl_ = std::make_unique<Impl>(lifeline_);
    return *impl_;
  }
  template <typename Change>
  void change(error_code& ec, const Change& change_it) {
    tcp::Options options = impl().options();
    change_it(options);
    ec = impl().set_options(options);
  }
  template <typename Question>
  auto shared(const Question& question, error_code& ec) const {
    if (impl_ != nullptr) return question(std::as_const(*impl_));
    ec = boost::asio::error::bad_descriptor;
    return decltype(question(std::as_const(*impl_))){};
  }
  template <typename Call>
  static auto throwing(const char* what, const Call& call) {
    error_code ec;
    if constexpr (std::is_void_v<decltype(call(ec))>) {
      call(ec);
      detail::throw_if(ec, what);
    } else {
      auto result = call(ec);
      detail::throw_if(ec, what);
      return result;
    }
  }

  // What async_initiate starts; `deferred` and the like keep it and start it later.
  struct Initiation {
    basic_socket* self;
    using executor_type = Executor;
    executor_type get_executor() const noexcept { return self->get_executor(); }
  };
  struct Connect : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler, const endpoint& remote) const;
  };
  struct Read : Initiation {
    template <typename Handler, typename Buffers>
    void operator()(Handler&& handler, const Buffers& buffers) const;
  };
  struct Write : Initiation {
    template <typename Handler, typename Buffers>
    void operator()(Handler&& handler, const Buffers& buffers) const;
  };
  struct ReadShared : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler, std::span<wire::Slice> into) const;
  };
  struct WriteShared : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler, std::span<wire::Slice> from) const;
  };
  struct Wait : Initiation {
    template <typename Handler>
    void operator()(Handler&& handler, wait_type what) const;
  };

  executor_type executor_;
  std::shared_ptr<runtime::Lifeline> lifeline_;
  /// Made when first needed, so that moving a socket costs no allocation.
  std::unique_ptr<Impl> impl_;
};

/// The socket that programs use.
using socket = basic_socket<>;

}  // namespace synfin::tcp

#include "synfin/socket/socket_inl.h"
