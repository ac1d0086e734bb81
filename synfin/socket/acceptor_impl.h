// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "synfin/runtime/runtime.h"
#include "synfin/socket/endpoint.h"
#include "synfin/socket/operation.h"

namespace synfin::socket_detail {

/// A connection that has been accepted, or a SYN that is held, or why there is none.
struct Accepted {
  error_code ec;
  stack::Handle handle;
};

/// What an acceptor is, whatever its executor and its handlers.
class AcceptorImpl final : public runtime::Watcher {
 public:
  explicit AcceptorImpl(std::shared_ptr<runtime::Lifeline> lifeline) : lifeline_(std::move(lifeline)) {}
  ~AcceptorImpl();
  AcceptorImpl(const AcceptorImpl&) = delete;
  AcceptorImpl& operator=(const AcceptorImpl&) = delete;

  bool is_open() const { return static_cast<bool>(handle_); }
  stack::Handle handle() const { return handle_; }
  runtime::Runtime* runtime() const { return lifeline_->runtime; }

  error_code listen(const tcp::endpoint& local, int backlog);
  /// Of the listener that is there.
  error_code set_backlog(int backlog);
  const stack::ListenOptions& options() const { return options_; }
  /// Those of the listener that is there, or of the next. The backlog is not among them.
  error_code set_options(const stack::ListenOptions& wanted);
  /// One try; nothing where that would block.
  std::optional<Accepted> try_accept();
  std::optional<Accepted> try_accept_pending();
  /// `try_it`: one of the above.
  Accepted block(std::optional<Accepted> (AcceptorImpl::*try_it)());
  error_code close();
  void cancel();
  tcp::endpoint local_endpoint(error_code& ec) const;

  void on_socket_event(std::uint16_t what) override;
  void on_runtime_end() override;

  OperationQueue accepts, pendings;
  bool non_blocking = false;

 private:
  std::shared_ptr<runtime::Lifeline> lifeline_;
  stack::Handle handle_;
  stack::ListenOptions options_;
};

}  // namespace synfin::socket_detail
