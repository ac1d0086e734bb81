// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <tuple>

#include "synfin/runtime/runtime.h"
#include "synfin/socket/endpoint.h"
#include "synfin/socket/operation.h"

namespace synfin::socket_detail {

/// What a pending connection is, whatever its executor and its handlers: a held SYN, then, where
/// `start_accept` has answered it, the handshake, then nothing.
class PendingImpl final : public runtime::Watcher {
 public:
  PendingImpl(std::shared_ptr<runtime::Lifeline> lifeline, stack::Handle pending);
  /// Drops the SYN, resets the handshake.
  ~PendingImpl();
  PendingImpl(const PendingImpl&) = delete;
  PendingImpl& operator=(const PendingImpl&) = delete;

  /// Whether the SYN is still held, or its handshake goes on.
  bool is_open() const;
  stack::Handle handle() const { return handle_; }
  runtime::Runtime* runtime() const { return lifeline_->runtime; }
  const tcp::endpoint& local() const { return local_; }
  const tcp::endpoint& remote() const { return remote_; }

  /// Answers the SYN; the connection is the caller's.
  error_code accept(stack::Handle& connection);
  /// Answers the SYN and watches the handshake; `handshake` says how it went.
  error_code start_accept();
  /// The result of the handshake; nothing while it goes on. One that failed leaves nothing behind.
  std::optional<error_code> handshake();
  /// The connection whose handshake is whole; it is the caller's.
  stack::Handle release();
  void abort_handshake();

  error_code reject();
  error_code drop();
  error_code unreachable(stack::Unreachable what);
  /// Success once the SYN is gone without the program's doing; nothing while it is held.
  std::optional<error_code> try_wait_withdrawn();
  void cancel();

  void on_socket_event(std::uint16_t what) override;
  void on_runtime_end() override;

  OperationQueue accepts, withdrawals;

 private:
  bool holds() const;
  /// Why a decision cannot be made.
  error_code obstacle() const;
  /// What has become of a SYN that is gone without the program's doing.
  error_code withdrawal() const;
  void forget(error_code why);
  error_code decided(std::expected<void, tcp::Error> done);

  std::shared_ptr<runtime::Lifeline> lifeline_;
  stack::Handle handle_;
  tcp::endpoint local_, remote_;
  /// What calls fail with once `handle_` is empty.
  error_code end_ = boost::asio::error::bad_descriptor;
  bool withdrawn_ = false;
};

/// Accepts and gives the handler the socket when the handshake is whole.
template <typename Socket>
struct HandshakeAction {
  PendingImpl* pending;
  typename Socket::executor_type executor;
  std::shared_ptr<runtime::Lifeline> lifeline;
  std::optional<error_code> refused_at_once{};
  error_code ec{};

  bool attempt() {
    const std::optional<error_code> end = refused_at_once ? refused_at_once : pending->handshake();
    if (end) ec = *end;
    return end.has_value();
  }
  std::tuple<error_code, Socket> result() {
    return {ec, Socket::adopt(executor, lifeline, ec ? stack::Handle{} : pending->release())};
  }
  std::tuple<error_code, Socket> failure(error_code why) {
    return {why, Socket::adopt(executor, lifeline, {})};
  }
  void undo() {
    if (!refused_at_once) pending->abort_handshake();
  }
};

struct WithdrawalAction {
  PendingImpl* pending;
  error_code ec{};

  bool attempt() {
    const std::optional<error_code> gone = pending->try_wait_withdrawn();
    if (gone) ec = *gone;
    return gone.has_value();
  }
  std::tuple<error_code> result() { return {ec}; }
  std::tuple<error_code> failure(error_code why) { return {why}; }
  void undo() {}
};

}  // namespace synfin::socket_detail
