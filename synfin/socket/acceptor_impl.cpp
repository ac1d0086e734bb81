// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/acceptor_impl.h"

#include <algorithm>
#include <utility>

#include "synfin/runtime/error.h"

namespace synfin::socket_detail {

namespace asio = boost::asio;

AcceptorImpl::~AcceptorImpl() {
  close();
}

error_code AcceptorImpl::listen(const tcp::endpoint& local, int backlog) {
  if (runtime() == nullptr) return asio::error::operation_aborted;
  if (runtime()->link_error()) return asio::error::network_down;
  if (is_open()) return asio::error::already_open;
  options_.backlog = static_cast<std::uint32_t>(std::max(backlog, 0));
  const auto handle = runtime()->stack().listen(local, options_, runtime()->now());
  if (!handle) return runtime()->translate(handle.error());
  handle_ = *handle;
  runtime()->register_socket(handle_, *this);
  return {};
}

error_code AcceptorImpl::set_backlog(int backlog) {
  if (!is_open()) return asio::error::bad_descriptor;
  stack::ListenOptions wanted = options_;
  wanted.backlog = static_cast<std::uint32_t>(std::max(backlog, 0));
  return set_options(wanted);
}

error_code AcceptorImpl::set_options(const stack::ListenOptions& wanted) {
  if (wanted.defer_accept < Duration::zero() || wanted.hold_timeout <= Duration::zero())
    return asio::error::invalid_argument;
  if (is_open()) {
    const auto done = runtime()->stack().set_listen_options(handle_, wanted);
    if (!done) return runtime()->translate(done.error());
  }
  options_ = wanted;
  // Who waits for held SYNs may wait in vain now.
  pendings.run();
  return {};
}

std::optional<Accepted> AcceptorImpl::try_accept() {
  if (!is_open()) return Accepted{asio::error::bad_descriptor, {}};
  if (runtime()->link_error()) return Accepted{asio::error::network_down, {}};
  const auto handle = runtime()->stack().accept(handle_, runtime()->now());
  if (handle) return Accepted{{}, *handle};
  if (handle.error() == tcp::Error::kWouldBlock) return std::nullopt;
  return Accepted{runtime()->translate(handle.error()), {}};
}

std::optional<Accepted> AcceptorImpl::try_accept_pending() {
  if (!is_open()) return Accepted{asio::error::bad_descriptor, {}};
  if (runtime()->link_error()) return Accepted{asio::error::network_down, {}};
  const auto handle = runtime()->stack().next_pending(handle_);
  if (handle) return Accepted{{}, *handle};
  if (handle.error() != tcp::Error::kWouldBlock) return Accepted{runtime()->translate(handle.error()), {}};
  if (!options_.hold) return Accepted{asio::error::operation_not_supported, {}};
  return std::nullopt;
}

Accepted AcceptorImpl::block(std::optional<Accepted> (AcceptorImpl::*try_it)()) {
  std::optional<Accepted> accepted = (this->*try_it)();
  if (accepted) return *accepted;
  if (non_blocking) return {asio::error::would_block, {}};
  const error_code ec = runtime()->block_until([&] {
    accepted = (this->*try_it)();
    return accepted.has_value();
  });
  return accepted.value_or(Accepted{ec, {}});
}

error_code AcceptorImpl::close() {
  const stack::Handle handle = std::exchange(handle_, {});
  if (handle && runtime() != nullptr) runtime()->close(handle);
  cancel();
  return {};
}

void AcceptorImpl::cancel() {
  accepts.fail_all(asio::error::operation_aborted);
  pendings.fail_all(asio::error::operation_aborted);
}

tcp::endpoint AcceptorImpl::local_endpoint(error_code& ec) const {
  ec = {};
  if (!is_open()) {
    ec = asio::error::bad_descriptor;
    return {};
  }
  const auto local = runtime()->stack().local_endpoint(handle_);
  if (!local) ec = runtime()->translate(local.error());
  return local.value_or(tcp::endpoint{});
}

void AcceptorImpl::on_socket_event(std::uint16_t) {
  accepts.run();
  pendings.run();
}

void AcceptorImpl::on_runtime_end() {
  handle_ = {};
  cancel();
}

}  // namespace synfin::socket_detail
