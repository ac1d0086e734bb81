// SPDX-License-Identifier: Apache-2.0
//
// The rest of socket.h.
#pragma once

#include "synfin/socket/socket.h"

namespace synfin::tcp {

template <typename Executor>
void basic_socket<Executor>::connect(const endpoint& remote, error_code& ec) {
  ec = impl().start_connect(remote);
  if (ec) return;
  if (non_blocking()) {
    // The attempt goes on; `wait(wait_write)` and the next write tell how it ended.
    ec = boost::asio::error::in_progress;
    return;
  }
  const std::optional<error_code> end =
      impl_->template block<error_code>([this] { return impl_->connected(); }, ec);
  if (end) ec = *end;
}

template <typename Executor>
template <typename MutableBuffers>
std::size_t basic_socket<Executor>::read_some(const MutableBuffers& buffers, error_code& ec) {
  ec = {};
  const socket_detail::BufferArray<MutableBytes> array(buffers);
  if (array.empty()) return 0;
  const auto moved =
      impl().template block<socket_detail::Transfer>([&] { return impl_->try_read(array.views()); }, ec);
  if (!moved) return 0;
  ec = moved->ec;
  return moved->octets;
}

template <typename Executor>
template <typename ConstBuffers>
std::size_t basic_socket<Executor>::write_some(const ConstBuffers& buffers, error_code& ec) {
  ec = {};
  const socket_detail::BufferArray<Bytes> array(buffers);
  if (array.empty()) return 0;
  const auto moved =
      impl().template block<socket_detail::Transfer>([&] { return impl_->try_write(array.views()); }, ec);
  if (!moved) return 0;
  ec = moved->ec;
  return moved->octets;
}

template <typename Executor>
void basic_socket<Executor>::wait(wait_type what, error_code& ec) {
  ec = {};
  impl();
  const auto ready = impl_->template block<error_code>(
      [&] {
        return what == wait_read    ? impl_->try_wait_read()
               : what == wait_write ? impl_->try_wait_write()
                                    : impl_->try_wait_error();
      },
      ec);
  if (ready) ec = *ready;
}

template <typename Executor>
template <typename Handler>
void basic_socket<Executor>::Connect::operator()(Handler&& handler, const endpoint& remote) const {
  auto& impl = this->self->impl();
  socket_detail::ConnectAction action{&impl};
  if (const error_code ec = impl.start_connect(remote)) action.refused_at_once = ec;
  socket_detail::start_operation(impl.connects, this->self->executor_, std::move(action),
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler, typename Buffers>
void basic_socket<Executor>::Read::operator()(Handler&& handler, const Buffers& buffers) const {
  using Action = socket_detail::TransferAction<MutableBytes, Buffers, &Impl::try_read>;
  auto& impl = this->self->impl();
  socket_detail::start_operation(impl.reads, this->self->executor_, Action{&impl, buffers},
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler, typename Buffers>
void basic_socket<Executor>::Write::operator()(Handler&& handler, const Buffers& buffers) const {
  using Action = socket_detail::TransferAction<Bytes, Buffers, &Impl::try_write>;
  auto& impl = this->self->impl();
  socket_detail::start_operation(impl.writes, this->self->executor_, Action{&impl, buffers},
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler>
void basic_socket<Executor>::ReadShared::operator()(Handler&& handler, std::span<wire::Slice> into) const {
  auto& impl = this->self->impl();
  socket_detail::start_operation(impl.reads, this->self->executor_,
                                 socket_detail::SharedAction<&Impl::try_read_shared>{&impl, into},
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler>
void basic_socket<Executor>::WriteShared::operator()(Handler&& handler, std::span<wire::Slice> from) const {
  auto& impl = this->self->impl();
  socket_detail::start_operation(impl.writes, this->self->executor_,
                                 socket_detail::SharedAction<&Impl::try_write_shared>{&impl, from},
                                 std::decay_t<Handler>(std::forward<Handler>(handler)));
}

template <typename Executor>
template <typename Handler>
void basic_socket<Executor>::Wait::operator()(Handler&& handler, wait_type what) const {
  auto& impl = this->self->impl();
  const auto start = [&](auto& queue, auto action) {
    socket_detail::start_operation(queue, this->self->executor_, std::move(action),
                                   std::decay_t<Handler>(std::forward<Handler>(handler)));
  };
  switch (what) {
    case socket_base::wait_read:
      return start(impl.reads, socket_detail::WaitAction<&Impl::try_wait_read>{&impl});
    case socket_base::wait_write:
      return start(impl.writes, socket_detail::WaitAction<&Impl::try_wait_write>{&impl});
    case socket_base::wait_error:
      return start(impl.errors, socket_detail::WaitAction<&Impl::try_wait_error>{&impl});
  }
}

namespace detail {

/// Reads to the end of the stream and closes.
template <typename Executor>
struct Teardown {
  basic_socket<Executor>* stream;
  std::unique_ptr<std::array<std::byte, 2048>> scratch = std::make_unique<std::array<std::byte, 2048>>();

  template <typename Self>
  void operator()(Self& self, error_code ec = {}, std::size_t = 0) {
    if (!ec) {
      auto& target = *scratch;  // taken before the move; the array stays where it is
      return stream->async_read_some(boost::asio::buffer(target), std::move(self));
    }
    if (ec == boost::asio::error::eof) ec = {};
    error_code ignored;
    stream->close(ignored);
    self.complete(ec);
  }
};

}  // namespace detail

// What Boost.Beast looks for, by argument, when a WebSocket stream over this socket ends (RFC 6455 §7.1.1:
// the server closes first): FIN, at once by the server, then reading until the peer's, so that the last data
// is not lost.

template <typename Executor>
void teardown(boost::beast::role_type role, basic_socket<Executor>& stream, error_code& ec) {
  ec = {};
  if (role == boost::beast::role_type::server) stream.shutdown(boost::asio::socket_base::shutdown_send, ec);
  std::array<std::byte, 2048> scratch;
  while (!ec) stream.read_some(boost::asio::buffer(scratch), ec);
  if (ec == boost::asio::error::eof) ec = {};
  error_code ignored;
  stream.close(ignored);
}

template <typename Executor, typename TeardownHandler>
void async_teardown(boost::beast::role_type role, basic_socket<Executor>& stream, TeardownHandler&& handler) {
  // A connection that is gone already makes the first read fail, with the reason that the handler wants.
  error_code ignored;
  if (role == boost::beast::role_type::server)
    stream.shutdown(boost::asio::socket_base::shutdown_send, ignored);
  boost::asio::async_compose<TeardownHandler, void(error_code)>(detail::Teardown<Executor>{&stream}, handler,
                                                                stream);
}

/// For `boost::beast::close_socket`, which the time-outs of streams call.
template <typename Executor>
void beast_close_socket(basic_socket<Executor>& stream) {
  error_code ignored;
  stream.close(ignored);
}

}  // namespace synfin::tcp
