// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/async/task.h"

namespace m3 {

namespace async_detail {

/// FIFO of suspended ops; each knows its neighbours, so a cancelled one is removed in O(1).
template <class Op>
class OpQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  const Op* front() const noexcept { return head_; }
  void push(Op& op) noexcept {
    op.queue_prev_ = tail_;
    op.queue_next_ = nullptr;
    (tail_ ? tail_->queue_next_ : head_) = &op;
    tail_ = &op;
  }
  void remove(Op& op) noexcept {
    (op.queue_prev_ ? op.queue_prev_->queue_next_ : head_) = op.queue_next_;
    (op.queue_next_ ? op.queue_next_->queue_prev_ : tail_) = op.queue_prev_;
  }
  Op* pop() noexcept {
    Op* op = head_;
    if (op) remove(*op);
    return op;
  }

 private:
  Op* head_ = nullptr;
  Op* tail_ = nullptr;
};

}  // namespace async_detail

/// A bounded queue between coroutines of one core, first in first out. A full channel makes send()
/// wait and try_send() fail with resource_exhausted. Must outlive its waiters: close() it and let
/// them finish first. Belongs to the first core that uses it: on another core its operations fail
/// with failed_precondition, and those that cannot fail end the process.
template <class T>
class Channel {
 public:
  /// `capacity` ≥ 1.
  explicit Channel(std::size_t capacity) : capacity_(capacity ? capacity : 1) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() { async_detail::demand_no_waiters(senders_.empty() && receivers_.empty(), kWhat); }

  class SendOp;
  class ReceiveOp;

  /// Waits for room. Fails with cancelled when the channel is closed.
  SendOp send(Ctx& ctx, T value) { return SendOp(ctx, *this, std::move(value)); }
  /// Waits for a value. Fails with cancelled when the channel is closed and empty.
  ReceiveOp receive(Ctx& ctx) { return ReceiveOp(ctx, *this); }

  /// resource_exhausted when full, cancelled when closed; the value is lost then.
  Status try_send(T value) {
    if (!home_.here()) return home_.refusal(kWhat);
    if (closed_) return closed();
    if (ReceiveOp* receiver = receivers_.pop()) {
      receiver->deliver(std::move(value));
      return ok;
    }
    if (values_.size() >= capacity_) return Status(Errc::resource_exhausted, "the channel is full");
    values_.push_back(std::move(value));
    return ok;
  }
  std::optional<T> try_receive() {
    home_.demand(kWhat);
    if (values_.empty()) return std::nullopt;
    std::optional<T> value(std::move(values_.front()));
    values_.pop_front();
    refill();
    return value;
  }

  /// Refuses further sends; receivers get the remaining values, then cancelled.
  void close() {
    home_.demand(kWhat);
    closed_ = true;
    while (SendOp* sender = senders_.pop()) sender->fail(closed());
    while (ReceiveOp* receiver = receivers_.pop()) receiver->fail(closed());
  }

  std::size_t size() const noexcept { return values_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }
  bool is_closed() const noexcept { return closed_; }

 private:
  static constexpr const char* kWhat = "Channel";
  static Status closed() { return Status(Errc::cancelled, "the channel is closed"); }
  void refill() {
    if (SendOp* sender = senders_.pop()) values_.push_back(sender->give());
  }

  async_detail::CoreBound home_;
  std::size_t capacity_;
  bool closed_ = false;
  std::deque<T> values_;
  async_detail::OpQueue<SendOp> senders_;
  async_detail::OpQueue<ReceiveOp> receivers_;
};

template <class T>
class [[nodiscard("co_await it: nothing is sent before it is awaited")]] Channel<T>::SendOp final
    : public async_detail::CtxOp {
 public:
  using value_type = void;
  SendOp(Ctx& ctx, Channel& channel, T value)
      : CtxOp(ctx), channel_(channel), value_(std::move(value)) {}
  SendOp(SendOp&& other) noexcept
      : CtxOp(other.ctx()), channel_(other.channel_), value_(std::move(other.value_)) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused() || misplaced(channel_.home_, kWhat)) return true;
    if (channel_.closed_ || !channel_.receivers_.empty() ||
        channel_.values_.size() < channel_.capacity_) {
      error() = channel_.try_send(std::move(value_));
      return true;
    }
    channel_.senders_.push(*this);
    suspend(waiter);
    return false;
  }
  void take() const noexcept {}

 private:
  friend class Channel;
  friend class async_detail::OpQueue<SendOp>;
  T give() {
    T value = std::move(value_);
    finish();
    return value;
  }
  void fail(Status status) { finish(std::move(status)); }
  void detach() noexcept override { channel_.senders_.remove(*this); }

  Channel& channel_;
  T value_;
  SendOp* queue_prev_ = nullptr;
  SendOp* queue_next_ = nullptr;
};

template <class T>
class [[nodiscard(
    "co_await it: nothing is received before it is awaited")]] Channel<T>::ReceiveOp final
    : public async_detail::CtxOp {
 public:
  using value_type = T;
  ReceiveOp(Ctx& ctx, Channel& channel) : CtxOp(ctx), channel_(channel) {}
  ReceiveOp(ReceiveOp&& other) noexcept : CtxOp(other.ctx()), channel_(other.channel_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused() || misplaced(channel_.home_, kWhat)) return true;
    value_ = channel_.try_receive();
    if (value_) return true;
    if (channel_.closed_) {
      error() = closed();
      return true;
    }
    channel_.receivers_.push(*this);
    suspend(waiter);
    return false;
  }
  T take() { return *std::move(value_); }

 private:
  friend class Channel;
  friend class async_detail::OpQueue<ReceiveOp>;
  void deliver(T value) {
    value_.emplace(std::move(value));
    finish();
  }
  void fail(Status status) { finish(std::move(status)); }
  void detach() noexcept override { channel_.receivers_.remove(*this); }

  Channel& channel_;
  std::optional<T> value_;
  ReceiveOp* queue_prev_ = nullptr;
  ReceiveOp* queue_next_ = nullptr;
};

}  // namespace m3
