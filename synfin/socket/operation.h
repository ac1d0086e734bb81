// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous operations of sockets: an action that is tried until it has a result, and a handler that is
// given the result.
#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <tuple>
#include <utility>

namespace synfin::socket_detail {

using boost::system::error_code;

class OperationQueue;

/// One outstanding operation. Belongs to the queue it waits in.
class Operation {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Whether the operation now has its result.
  virtual bool attempt() = 0;
  /// Posts the handler with the result of the last attempt, and frees the operation.
  virtual void complete() = 0;
  /// Posts the handler with `ec` and an empty result, and frees the operation.
  virtual void fail(error_code ec) = 0;
  /// Undoes what the operation began, before `fail`, when the program cancels it.
  virtual void undo() = 0;

  /// For the queue.
  Operation* next = nullptr;

 protected:
  Operation() = default;
  ~Operation() = default;
};

/// Operations of one direction, served in the order in which they began.
class OperationQueue {
 public:
  OperationQueue() = default;
  ~OperationQueue() { fail_all(boost::asio::error::operation_aborted); }
  OperationQueue(const OperationQueue&) = delete;
  OperationQueue& operator=(const OperationQueue&) = delete;

  bool empty() const { return first_ == nullptr; }
  void push(Operation* op);
  /// Completes operations from the front as long as they have results.
  void run();
  /// The program no longer wants `op`, which is in this queue: it completes with `operation_aborted`.
  void cancel(Operation* op);
  /// The same for all.
  void cancel_all();
  void fail_all(error_code ec);

 private:
  Operation* pop();
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
};

/// Calls `handler` with `result` on its executor, never from within this function. Its allocator serves for
/// what that takes.
template <typename Executor, typename Handler, typename Result>
void post_result(const Executor& executor, Handler handler, Result result) {
  // Asked before the handler moves away.
  const auto allocator = boost::asio::get_associated_allocator(handler);
  const auto target = boost::asio::get_associated_executor(handler, executor);
  auto call = [handler = std::move(handler), result = std::move(result)]() mutable {
    std::apply(std::move(handler), std::move(result));
  };
  boost::asio::post(target, boost::asio::bind_allocator(allocator, std::move(call)));
}

/// An Action has
///   bool attempt();                        whether there is a result now
///   auto result();                         the handler's arguments, a tuple, after attempt() was true
///   auto failure(error_code);              the same for an operation that ends without one
///   void undo();                           see Operation
template <typename Action, typename Handler, typename Executor>
class PendingOperation final : public Operation {
 public:
  using Allocator = typename std::allocator_traits<
      boost::asio::associated_allocator_t<Handler>>::template rebind_alloc<PendingOperation>;
  using Slot = boost::asio::associated_cancellation_slot_t<Handler>;

  /// Allocates with the handler's allocator and queues.
  static void start(OperationQueue& queue, const Executor& executor, Action action, Handler handler) {
    Allocator allocator{boost::asio::get_associated_allocator(handler)};
    Slot slot = boost::asio::get_associated_cancellation_slot(handler);
    PendingOperation* op = std::allocator_traits<Allocator>::allocate(allocator, 1);
    try {
      new (op) PendingOperation(executor, std::move(action), std::move(handler));
    } catch (...) {
      std::allocator_traits<Allocator>::deallocate(allocator, op, 1);
      throw;
    }
    if (slot.is_connected()) {
      slot.assign([&queue, op](boost::asio::cancellation_type type) {
        using boost::asio::cancellation_type;
        const auto any = cancellation_type::terminal | cancellation_type::partial | cancellation_type::total;
        if ((type & any) != cancellation_type::none) queue.cancel(op);
      });
    }
    queue.push(op);
  }

  bool attempt() override { return action_.attempt(); }
  void complete() override { finish(action_.result()); }
  void fail(error_code ec) override { finish(action_.failure(ec)); }
  void undo() override { action_.undo(); }

 private:
  PendingOperation(const Executor& executor, Action&& action, Handler&& handler)
      : executor_(executor),
        action_(std::move(action)),
        handler_(std::move(handler)),
        work_(executor_),
        handler_work_(boost::asio::get_associated_executor(handler_, executor_)) {}
  ~PendingOperation() = default;

  template <typename Result>
  void finish(Result result) {
    Slot slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) slot.clear();
    // The operation's memory goes back before the handler is called, so that the next operation can have it.
    Executor executor = executor_;
    Handler handler = std::move(handler_);
    auto work = std::move(work_);
    auto handler_work = std::move(handler_work_);
    Allocator allocator{boost::asio::get_associated_allocator(handler)};
    this->~PendingOperation();
    std::allocator_traits<Allocator>::deallocate(allocator, this, 1);
    post_result(executor, std::move(handler), std::move(result));
  }

  Executor executor_;
  Action action_;
  Handler handler_;
  boost::asio::executor_work_guard<Executor> work_;
  boost::asio::executor_work_guard<boost::asio::associated_executor_t<Handler, Executor>> handler_work_;
};

/// Begins an operation: tried at once where nobody waits before it, else when it is its turn.
template <typename Action, typename Handler, typename Executor>
void start_operation(OperationQueue& queue, const Executor& executor, Action action, Handler handler) {
  if (queue.empty() && action.attempt()) {
    post_result(executor, std::move(handler), action.result());
    return;
  }
  PendingOperation<Action, Handler, Executor>::start(queue, executor, std::move(action), std::move(handler));
}

}  // namespace synfin::socket_detail
