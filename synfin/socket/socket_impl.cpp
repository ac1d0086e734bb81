// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/socket_impl.h"

#include "synfin/runtime/error.h"

namespace synfin::socket_detail {

namespace asio = boost::asio;
using tcp::Error;

namespace {

// Why a write has to wait: for room in the send buffer, or for packet memory.
bool waits(Error e) {
  return e == Error::kWouldBlock || e == Error::kNoBuffers;
}

}  // namespace

SocketImpl::~SocketImpl() {
  close();
}

void SocketImpl::adopt(stack::Handle handle, Handshake handshake) {
  handle_ = handle;
  handshake_ = handshake;
  if (runtime() == nullptr) return;
  runtime()->register_socket(handle_, *this);
  options_ = runtime()->stack().options(handle_).value_or(options_);
  runtime()->schedule();
}

// --- Opening ---

error_code SocketImpl::bind(const tcp::endpoint& local) {
  if (is_open()) return asio::error::already_connected;
  bound_ = local;
  return {};
}

error_code SocketImpl::start_connect(const tcp::endpoint& remote) {
  if (runtime() == nullptr) return asio::error::operation_aborted;
  if (runtime()->link_error()) return asio::error::network_down;
  if (is_open()) {
    return connecting_ ? error_code(asio::error::already_started)
                       : error_code(asio::error::already_connected);
  }
  const stack::ConnectOptions options{.local = bound_, .fast_open = fast_open, .connection = options_};
  const auto handle = runtime()->stack().connect(remote, options, runtime()->now());
  if (!handle) return runtime()->translate(handle.error());
  connecting_ = true;
  adopt(*handle, Handshake::kGoesOn);
  runtime()->schedule();
  return {};
}

std::optional<error_code> SocketImpl::connected() {
  if (!is_open()) return error_code(asio::error::operation_aborted);
  stack::Stack& stack = runtime()->stack();
  if (const Error why = stack.failure(handle_); why != Error::kWouldBlock) {
    const error_code ec = runtime()->translate(why);
    drop_attempt(ec);
    return ec;
  }
  const auto status = stack.status(handle_);
  if (status && (status->state == trace::State::kSynSent || status->state == trace::State::kSynReceived)) {
    return std::nullopt;
  }
  connecting_ = false;
  return error_code();
}

// Called from operations in `connects`, so that queue is left alone.
void SocketImpl::drop_attempt(error_code why) {
  if (!is_open()) return;
  connecting_ = false;
  runtime()->abort(std::exchange(handle_, {}));
  for (OperationQueue* queue : {&reads, &writes, &errors}) queue->fail_all(why);
}

// --- Data ---

std::optional<Transfer> SocketImpl::try_read(std::span<const MutableBytes> into) {
  if (!is_open()) return Transfer{asio::error::bad_descriptor};
  return have_read(runtime()->stack().receive(handle_, into, runtime()->now()));
}

std::optional<Transfer> SocketImpl::try_read_shared(std::span<wire::Slice> into) {
  if (!is_open()) return Transfer{asio::error::bad_descriptor};
  return have_read(runtime()->stack().receive_shared(handle_, into, runtime()->now()));
}

std::optional<Transfer> SocketImpl::have_read(std::expected<std::size_t, Error> got) {
  // Reading may have opened the window, which the peer has to be told.
  if (runtime()->stack().has_output()) runtime()->schedule();
  if (!got) {
    if (got.error() == Error::kWouldBlock) return std::nullopt;
    return Transfer{runtime()->translate(got.error())};
  }
  if (*got == 0) return Transfer{asio::error::eof};
  return Transfer{{}, *got};
}

std::optional<Transfer> SocketImpl::try_write(std::span<const Bytes> from) {
  if (!is_open()) return Transfer{asio::error::bad_descriptor};
  return have_written(runtime()->stack().send(handle_, from, runtime()->now()));
}

std::optional<Transfer> SocketImpl::try_write_shared(std::span<wire::Slice> from) {
  if (!is_open()) return Transfer{asio::error::bad_descriptor};
  return have_written(runtime()->stack().send_shared(handle_, from, runtime()->now()));
}

std::optional<Transfer> SocketImpl::have_written(std::expected<std::size_t, Error> taken) {
  if (!taken) {
    if (waits(taken.error())) return std::nullopt;
    return Transfer{runtime()->translate(taken.error())};
  }
  runtime()->schedule();
  return Transfer{{}, *taken};
}

// An error makes a socket ready: the call that follows reports it.
std::optional<error_code> SocketImpl::try_wait_read() {
  if (!is_open()) return error_code(asio::error::bad_descriptor);
  // Asking for nothing tells octets, end of stream and failure from having to wait, and takes nothing away.
  const auto got = runtime()->stack().receive(handle_, {}, runtime()->now());
  if (!got && got.error() == Error::kWouldBlock) return std::nullopt;
  return error_code();
}

std::optional<error_code> SocketImpl::try_wait_write() {
  if (!is_open()) return error_code(asio::error::bad_descriptor);
  const auto status = runtime()->stack().status(handle_);
  const bool connecting =
      handshake_ == Handshake::kGoesOn && status &&
      (status->state == trace::State::kSynSent || status->state == trace::State::kSynReceived);
  if (connecting && runtime()->stack().failure(handle_) == Error::kWouldBlock) return std::nullopt;
  const auto taken = runtime()->stack().send(handle_, {}, runtime()->now());
  if (!taken && waits(taken.error())) return std::nullopt;
  if (taken && status && status->send_queue >= status->send_buffer) return std::nullopt;
  return error_code();
}

std::optional<error_code> SocketImpl::try_wait_error() {
  if (!is_open()) return error_code(asio::error::bad_descriptor);
  if (runtime()->stack().failure(handle_) == Error::kWouldBlock) return std::nullopt;
  return error_code();
}

// --- Closing ---

error_code SocketImpl::shutdown(stack::Shutdown how) {
  if (!is_open()) return asio::error::bad_descriptor;
  const auto done = runtime()->stack().shutdown(handle_, how, runtime()->now());
  if (!done) return runtime()->translate(done.error());
  runtime()->schedule();
  // Reads that wait have reached the end, writes that wait have become errors.
  if (how != stack::Shutdown::kSend) reads.run();
  if (how != stack::Shutdown::kReceive) writes.run();
  return {};
}

error_code SocketImpl::close() {
  connecting_ = false;
  const stack::Handle handle = std::exchange(handle_, {});
  if (handle && runtime() != nullptr) runtime()->close(handle);
  fail_all(asio::error::operation_aborted);
  return {};
}

error_code SocketImpl::abort() {
  connecting_ = false;
  const stack::Handle handle = std::exchange(handle_, {});
  if (handle && runtime() != nullptr) runtime()->abort(handle);
  fail_all(asio::error::operation_aborted);
  return {};
}

void SocketImpl::cancel() {
  connects.cancel_all();
  fail_all(asio::error::operation_aborted);
}

void SocketImpl::fail_all(error_code ec) {
  for (OperationQueue* queue : {&connects, &reads, &writes, &errors}) queue->fail_all(ec);
}

// --- Questions ---

template <typename T>
T SocketImpl::ask(std::expected<T, Error> (stack::Stack::*question)(stack::Handle) const,
                  error_code& ec) const {
  ec = {};
  if (!is_open()) {
    ec = asio::error::bad_descriptor;
    return {};
  }
  const auto answer = (runtime()->stack().*question)(handle_);
  if (!answer) ec = runtime()->translate(answer.error());
  return answer.value_or(T{});
}

std::size_t SocketImpl::available(error_code& ec) const {
  return ask(&stack::Stack::readable, ec);
}
tcp::endpoint SocketImpl::local_endpoint(error_code& ec) const {
  return ask(&stack::Stack::local_endpoint, ec);
}
tcp::endpoint SocketImpl::remote_endpoint(error_code& ec) const {
  return ask(&stack::Stack::remote_endpoint, ec);
}
stack::Status SocketImpl::status(error_code& ec) const {
  return ask(&stack::Stack::status, ec);
}
tcp::Ending SocketImpl::ending(error_code& ec) const {
  return ask(&stack::Stack::ending, ec);
}

// --- Options ---

// They may be set before there is a connection.
error_code SocketImpl::set_options(const tcp::Options& options) {
  if (is_open() && runtime() != nullptr) {
    const auto done = runtime()->stack().set_options(handle_, options, runtime()->now());
    if (!done) return runtime()->translate(done.error());
    runtime()->schedule();
  }
  options_ = options;
  return {};
}

// --- From the runtime ---

void SocketImpl::on_socket_event(std::uint16_t) {
  // Whatever the event says, the queues find out by trying. A failed attempt to connect closes the socket, so
  // it comes first.
  connects.run();
  reads.run();
  writes.run();
  errors.run();
}

void SocketImpl::on_runtime_end() {
  handle_ = {};
  connecting_ = false;
  fail_all(asio::error::operation_aborted);
}

}  // namespace synfin::socket_detail
