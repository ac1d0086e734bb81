// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/operation.h"

namespace synfin::socket_detail {

void OperationQueue::push(Operation* op) {
  (last_ == nullptr ? first_ : last_->next) = op;
  last_ = op;
}

Operation* OperationQueue::pop() {
  Operation* op = first_;
  first_ = op->next;
  if (first_ == nullptr) last_ = nullptr;
  return op;
}

void OperationQueue::run() {
  while (first_ != nullptr && first_->attempt()) pop()->complete();
}

void OperationQueue::cancel(Operation* op) {
  Operation* before = nullptr;
  for (Operation* at = first_; at != op; at = at->next) before = at;
  (before == nullptr ? first_ : before->next) = op->next;
  if (last_ == op) last_ = before;
  op->undo();
  op->fail(boost::asio::error::operation_aborted);
}

void OperationQueue::cancel_all() {
  while (first_ != nullptr) cancel(first_);
}

void OperationQueue::fail_all(error_code ec) {
  while (first_ != nullptr) pop()->fail(ec);
}

}  // namespace synfin::socket_detail
