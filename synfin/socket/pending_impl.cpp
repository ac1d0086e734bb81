// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/pending_impl.h"

#include <utility>

#include "synfin/runtime/error.h"

namespace synfin::socket_detail {

namespace asio = boost::asio;
using tcp::Error;

PendingImpl::PendingImpl(std::shared_ptr<runtime::Lifeline> lifeline, stack::Handle pending)
    : lifeline_(std::move(lifeline)), handle_(pending) {
  const stack::Stack& stack = runtime()->stack();
  local_ = stack.local_endpoint(handle_).value_or(tcp::endpoint{});
  remote_ = stack.remote_endpoint(handle_).value_or(tcp::endpoint{});
  runtime()->register_socket(handle_, *this);
}

PendingImpl::~PendingImpl() {
  if (handle_.kind() == stack::HandleKind::kPending) {
    // Fails where the SYN is gone and its event has not been told yet, which is all the same now.
    std::ignore = runtime()->stack().drop_pending(handle_, runtime()->now());
    forget({});
  }
  abort_handshake();
}

bool PendingImpl::is_open() const {
  return holds() || handle_.kind() == stack::HandleKind::kConnection;
}

// The stack knows it before its event has been told.
bool PendingImpl::holds() const {
  return handle_.kind() == stack::HandleKind::kPending && runtime()->stack().remote_endpoint(handle_);
}

error_code PendingImpl::obstacle() const {
  if (holds()) return {};
  switch (handle_.kind()) {
    case stack::HandleKind::kConnection:
      return asio::error::already_started;
    case stack::HandleKind::kPending:
      return withdrawal();
    case stack::HandleKind::kNone:
    case stack::HandleKind::kListener:
      break;
  }
  return end_;
}

error_code PendingImpl::withdrawal() const {
  return runtime()->translate(runtime()->link_error() ? Error::kStackShutdown : Error::kAborted);
}

void PendingImpl::forget(error_code why) {
  runtime()->unregister_socket(std::exchange(handle_, {}));
  end_ = why;
}

// --- Decisions ---

error_code PendingImpl::accept(stack::Handle& connection) {
  if (const error_code ec = obstacle()) return ec;
  const auto answered = runtime()->stack().accept_pending(handle_, runtime()->now());
  if (!answered) return runtime()->translate(answered.error());
  connection = *answered;
  forget(asio::error::bad_descriptor);
  runtime()->schedule();
  withdrawals.fail_all(asio::error::operation_aborted);
  return {};
}

error_code PendingImpl::start_accept() {
  stack::Handle connection;
  if (const error_code ec = accept(connection)) return ec;
  handle_ = connection;
  runtime()->register_socket(handle_, *this);
  return {};
}

std::optional<error_code> PendingImpl::handshake() {
  if (handle_.kind() != stack::HandleKind::kConnection) return error_code(asio::error::operation_aborted);
  const stack::Stack& stack = runtime()->stack();
  if (const Error why = stack.failure(handle_); why != Error::kWouldBlock) {
    abort_handshake();
    return runtime()->translate(why);
  }
  const auto status = stack.status(handle_);
  if (status && status->state == trace::State::kSynReceived) return std::nullopt;
  return error_code();
}

stack::Handle PendingImpl::release() {
  const stack::Handle connection = handle_;
  forget(asio::error::bad_descriptor);
  return connection;
}

void PendingImpl::abort_handshake() {
  const stack::Handle connection = std::exchange(handle_, {});
  if (connection && runtime() != nullptr) runtime()->abort(connection);
}

error_code PendingImpl::reject() {
  if (const error_code ec = obstacle()) return ec;
  return decided(runtime()->stack().reject_pending(handle_, runtime()->now()));
}

error_code PendingImpl::drop() {
  if (const error_code ec = obstacle()) return ec;
  return decided(runtime()->stack().drop_pending(handle_, runtime()->now()));
}

error_code PendingImpl::unreachable(stack::Unreachable what) {
  if (const error_code ec = obstacle()) return ec;
  return decided(runtime()->stack().unreachable_pending(handle_, what, runtime()->now()));
}

error_code PendingImpl::decided(std::expected<void, Error> done) {
  if (!done) return runtime()->translate(done.error());
  forget(asio::error::bad_descriptor);
  runtime()->schedule();
  withdrawals.fail_all(asio::error::operation_aborted);
  return {};
}

std::optional<error_code> PendingImpl::try_wait_withdrawn() {
  if (holds()) return std::nullopt;
  const bool gone = withdrawn_ || handle_.kind() == stack::HandleKind::kPending;
  return gone ? error_code() : handle_ ? error_code(asio::error::already_started) : end_;
}

void PendingImpl::cancel() {
  accepts.cancel_all();
  withdrawals.cancel_all();
}

// --- From the runtime ---

void PendingImpl::on_socket_event(std::uint16_t) {
  if (handle_.kind() == stack::HandleKind::kPending && !holds()) {
    withdrawn_ = true;
    forget(withdrawal());
  }
  withdrawals.run();
  accepts.run();
}

void PendingImpl::on_runtime_end() {
  handle_ = {};
  end_ = asio::error::operation_aborted;
  accepts.fail_all(asio::error::operation_aborted);
  withdrawals.fail_all(asio::error::operation_aborted);
}

}  // namespace synfin::socket_detail
