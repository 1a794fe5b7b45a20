// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "m3/async/channel.h"
#include "m3/async/core.h"
#include "m3/async/task.h"

namespace m3 {

/// Counts objects or tasks, and lets a coroutine wait until there are none. Outlives what it
/// counts. Belongs to the first core that uses it: on another core zero() fails with
/// failed_precondition, and add() and done() end the process.
class Countdown {
 public:
  class ZeroOp;

  Countdown() = default;
  Countdown(const Countdown&) = delete;
  Countdown& operator=(const Countdown&) = delete;
  ~Countdown() { async_detail::demand_no_waiters(waiting_.empty(), kWhat); }

  void add() noexcept {
    home_.demand(kWhat);
    ++count_;
  }
  void done() noexcept;
  std::size_t count() const noexcept { return count_; }

  /// Returns when the count is zero: at once, or from the ready queue.
  ZeroOp zero(Ctx& ctx) noexcept;

 private:
  static constexpr const char* kWhat = "Countdown";
  async_detail::CoreBound home_;
  std::size_t count_ = 0;
  async_detail::OpQueue<ZeroOp> waiting_;
};

class [[nodiscard("co_await it: it does nothing before it is awaited")]] Countdown::ZeroOp final
    : public async_detail::CtxOp {
 public:
  using value_type = void;
  ZeroOp(Ctx& ctx, Countdown& countdown) noexcept : CtxOp(ctx), countdown_(countdown) {}
  ZeroOp(ZeroOp&& other) noexcept : CtxOp(other.ctx()), countdown_(other.countdown_) {}

  bool start(async_detail::Waiter& waiter) {
    if (misplaced(countdown_.home_, kWhat) || countdown_.count_ == 0 || refused()) return true;
    countdown_.waiting_.push(*this);
    suspend(waiter);
    return false;
  }
  void take() const noexcept {}

 private:
  friend class Countdown;
  friend class async_detail::OpQueue<ZeroOp>;
  void detach() noexcept override { countdown_.waiting_.remove(*this); }
  Countdown& countdown_;
  ZeroOp* queue_prev_ = nullptr;
  ZeroOp* queue_next_ = nullptr;
};

inline void Countdown::done() noexcept {
  home_.demand(kWhat);
  if (--count_ > 0) return;
  while (ZeroOp* op = waiting_.pop()) op->finish();
}

inline Countdown::ZeroOp Countdown::zero(Ctx& ctx) noexcept { return ZeroOp(ctx, *this); }

}  // namespace m3
