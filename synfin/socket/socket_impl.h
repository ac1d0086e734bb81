// SPDX-License-Identifier: Apache-2.0
//
// What a socket is, whatever its executor and its handlers.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <tuple>

#include "synfin/runtime/runtime.h"
#include "synfin/socket/endpoint.h"
#include "synfin/socket/operation.h"

namespace synfin::socket_detail {

/// An error, or how much was moved.
struct Transfer {
  error_code ec;
  std::size_t octets = 0;
};

/// Whether a connection that a socket takes over is open to the program (by Fast Open perhaps before the
/// third segment), or still has to become so.
enum class Handshake : bool {
  kDone,
  kGoesOn
};

class SocketImpl final : public runtime::Watcher {
 public:
  explicit SocketImpl(std::shared_ptr<runtime::Lifeline> lifeline) : lifeline_(std::move(lifeline)) {}
  ~SocketImpl();
  SocketImpl(const SocketImpl&) = delete;
  SocketImpl& operator=(const SocketImpl&) = delete;

  /// Takes over a connection that nobody holds.
  void adopt(stack::Handle handle, Handshake handshake);

  bool is_open() const { return static_cast<bool>(handle_); }
  stack::Handle handle() const { return handle_; }
  runtime::Runtime* runtime() const { return lifeline_->runtime; }

  error_code bind(const tcp::endpoint& local);
  /// Sends the SYN; `connected` says how it went.
  error_code start_connect(const tcp::endpoint& remote);
  /// The result of the handshake; nothing while it goes on. A failed attempt leaves the socket closed.
  std::optional<error_code> connected();
  void drop_attempt(error_code why);

  /// One try to move octets; nothing where that would block.
  std::optional<Transfer> try_read(std::span<const MutableBytes> into);
  std::optional<Transfer> try_write(std::span<const Bytes> from);
  std::optional<Transfer> try_read_shared(std::span<wire::Slice> into);
  std::optional<Transfer> try_write_shared(std::span<wire::Slice> from);
  std::optional<error_code> try_wait_read();
  std::optional<error_code> try_wait_write();
  std::optional<error_code> try_wait_error();

  /// The blocking calls; `try_it` is one of the above. At once `would_block` for a non-blocking socket.
  template <typename Result, typename Try>
  std::optional<Result> block(const Try& try_it, error_code& ec);

  error_code shutdown(stack::Shutdown how);
  error_code close();
  error_code abort();
  void cancel();

  std::size_t available(error_code& ec) const;
  tcp::endpoint local_endpoint(error_code& ec) const;
  tcp::endpoint remote_endpoint(error_code& ec) const;
  stack::Status status(error_code& ec) const;
  tcp::Ending ending(error_code& ec) const;

  error_code set_options(const tcp::Options& options);
  const tcp::Options& options() const { return options_; }

  void on_socket_event(std::uint16_t what) override;
  void on_runtime_end() override;

  OperationQueue connects, reads, writes, errors;
  bool non_blocking = false;
  bool fast_open = false;

 private:
  std::optional<Transfer> have_read(std::expected<std::size_t, tcp::Error> got);
  std::optional<Transfer> have_written(std::expected<std::size_t, tcp::Error> taken);
  template <typename T>
  T ask(std::expected<T, tcp::Error> (stack::Stack::*question)(stack::Handle) const, error_code& ec) const;
  void fail_all(error_code ec);

  std::shared_ptr<runtime::Lifeline> lifeline_;
  stack::Handle handle_;
  tcp::endpoint bound_;
  bool connecting_ = false;  // the result of the handshake has not been reported
  Handshake handshake_ = Handshake::kDone;
  tcp::Options options_;
};

template <typename Result, typename Try>
std::optional<Result> SocketImpl::block(const Try& try_it, error_code& ec) {
  std::optional<Result> result = try_it();
  if (result) return result;
  if (non_blocking) {
    ec = boost::asio::error::would_block;
    return std::nullopt;
  }
  ec = runtime()->block_until([&] {
    result = try_it();
    return result.has_value();
  });
  return result;
}

/// Up to 64 buffers of a sequence that are not empty, as the stack takes them.
template <typename View>
class BufferArray {
 public:
  template <typename Sequence>
  explicit BufferArray(const Sequence& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end && count_ < views_.size(); ++at) {
      using Buffer = std::conditional_t<std::is_same_v<View, Bytes>, boost::asio::const_buffer,
                                        boost::asio::mutable_buffer>;
      const Buffer buffer(*at);
      if (buffer.size() == 0) continue;
      views_[count_++] = View(static_cast<typename View::pointer>(buffer.data()), buffer.size());
    }
  }
  bool empty() const { return count_ == 0; }
  std::span<const View> views() const { return {views_.data(), count_}; }

 private:
  std::array<View, 64> views_;
  std::size_t count_ = 0;
};

/// Reads and writes: `Try` is SocketImpl::try_read or try_write.
template <typename View, typename Sequence, auto Try>
struct TransferAction {
  SocketImpl* socket;
  Sequence buffers;
  Transfer transfer{};

  bool attempt() {
    const BufferArray<View> array(buffers);
    if (array.empty()) return true;  // as Asio has it: nothing to move is success at once
    const auto moved = (socket->*Try)(array.views());
    if (moved) transfer = *moved;
    return moved.has_value();
  }
  std::tuple<error_code, std::size_t> result() { return {transfer.ec, transfer.octets}; }
  std::tuple<error_code, std::size_t> failure(error_code ec) { return {ec, 0}; }
  void undo() {}
};

/// The same of slices: `Try` is SocketImpl::try_read_shared or try_write_shared.
template <auto Try>
struct SharedAction {
  SocketImpl* socket;
  std::span<wire::Slice> slices;
  Transfer transfer{};

  bool attempt() {
    if (slices.empty()) return true;
    const auto moved = (socket->*Try)(slices);
    if (moved) transfer = *moved;
    return moved.has_value();
  }
  std::tuple<error_code, std::size_t> result() { return {transfer.ec, transfer.octets}; }
  std::tuple<error_code, std::size_t> failure(error_code ec) { return {ec, 0}; }
  void undo() {}
};

template <auto Try>
struct WaitAction {
  SocketImpl* socket;
  error_code ec{};

  bool attempt() {
    const std::optional<error_code> ready = (socket->*Try)();
    if (ready) ec = *ready;
    return ready.has_value();
  }
  std::tuple<error_code> result() { return {ec}; }
  std::tuple<error_code> failure(error_code why) { return {why}; }
  void undo() {}
};

struct ConnectAction {
  SocketImpl* socket;
  std::optional<error_code> refused_at_once{};
  error_code ec{};

  bool attempt() {
    const std::optional<error_code> end = refused_at_once ? refused_at_once : socket->connected();
    if (end) ec = *end;
    return end.has_value();
  }
  std::tuple<error_code> result() { return {ec}; }
  std::tuple<error_code> failure(error_code why) { return {why}; }
  void undo() {
    if (!refused_at_once) socket->drop_attempt(boost::asio::error::operation_aborted);
  }
};

}  // namespace synfin::socket_detail
