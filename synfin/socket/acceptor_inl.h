// SPDX-License-Identifier: Apache-2.0
//
// The rest of acceptor.h.
#pragma once

#include "synfin/socket/acceptor.h"

namespace synfin::socket_detail {

/// Accepts and gives the handler a new socket.
template <typename Socket>
struct AcceptAction {
  AcceptorImpl* acceptor;
  typename Socket::executor_type executor;
  std::shared_ptr<runtime::Lifeline> lifeline;
  Accepted accepted{};

  bool attempt() {
    const std::optional<Accepted> now = acceptor->try_accept();
    if (now) accepted = *now;
    return now.has_value();
  }
  std::tuple<error_code, Socket> result() {
    return {accepted.ec, Socket::adopt(executor, lifeline, accepted.handle)};
  }
  std::tuple<error_code, Socket> failure(error_code ec) {
    return {ec, Socket::adopt(executor, lifeline, {})};
  }
  void undo() {}
};

/// Gives the handler the oldest held SYN.
template <typename Pending>
struct AcceptPendingAction {
  AcceptorImpl* acceptor;
  typename Pending::executor_type executor;
  std::shared_ptr<runtime::Lifeline> lifeline;
  Accepted held{};

  bool attempt() {
    const std::optional<Accepted> now = acceptor->try_accept_pending();
    if (now) held = *now;
    return now.has_value();
  }
  std::tuple<error_code, Pending> result() {
    return {held.ec, Pending::adopt(executor, lifeline, held.handle)};
  }
  std::tuple<error_code, Pending> failure(error_code ec) {
    return {ec, Pending::adopt(executor, lifeline, {})};
  }
  void undo() {}
};

/// Accepts into a socket of the program.
template <typename Socket>
struct AcceptIntoAction {
  AcceptorImpl* acceptor;
  Socket* into;
  std::shared_ptr<runtime::Lifeline> lifeline;
  error_code ec{};

  bool attempt() {
    if (into->is_open()) {
      ec = boost::asio::error::already_open;
      return true;
    }
    const std::optional<Accepted> now = acceptor->try_accept();
    if (!now) return false;
    ec = now->ec;
    if (!ec) *into = Socket::adopt(into->get_executor(), lifeline, now->handle);
    return true;
  }
  std::tuple<error_code> result() { return {ec}; }
  std::tuple<error_code> failure(error_code why) { return {why}; }
  void undo() {}
};

}  // namespace synfin::socket_detail

namespace synfin::tcp {

template <typename Executor>
auto basic_acceptor<Executor>::accept(error_code& ec) -> socket_type {
  const socket_detail::Accepted accepted = impl().block(&Impl::try_accept);
  ec = accepted.ec;
  return socket_type::adopt(executor_, lifeline_, accepted.handle);
}

template <typename Executor>
auto basic_acceptor<Executor>::accept_pending(error_code& ec) -> pending_type {
  const socket_detail::Accepted held = impl().block(&Impl::try_accept_pending);
  ec = held.ec;
  return pending_type::adopt(executor_, lifeline_, held.handle);
}

template <typename Executor>
template <typename Handler>
void basic_acceptor<Executor>::Accept::operator()(Handler&& handler) const {
  auto& a = *this->self;
  socket_detail::start_operation(
      a.impl().accepts, a.executor_,
      socket_detail::AcceptAction<socket_type>{&a.impl(), a.executor_, a.lifeline_},
      std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler>
void basic_acceptor<Executor>::AcceptPending::operator()(Handler&& handler) const {
  auto& a = *this->self;
  socket_detail::start_operation(
      a.impl().pendings, a.executor_,
      socket_detail::AcceptPendingAction<pending_type>{&a.impl(), a.executor_, a.lifeline_},
      std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler, typename SocketExecutor>
void basic_acceptor<Executor>::AcceptInto::operator()(Handler&& handler,
                                                      basic_socket<SocketExecutor>* into) const {
  auto& a = *this->self;
  socket_detail::start_operation(
      a.impl().accepts, a.executor_,
      socket_detail::AcceptIntoAction<basic_socket<SocketExecutor>>{&a.impl(), into, a.lifeline_},
      std::decay_t<Handler>(std::forward<Handler>(handler)));
}

}  // namespace synfin::tcp
