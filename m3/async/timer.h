// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/async/task.h"

namespace m3 {

namespace async_detail {

class [[nodiscard("co_await it: it does nothing before it is awaited")]] SleepOp final
    : public CtxOp {
 public:
  using value_type = void;
  SleepOp(Ctx& ctx, TimePoint until) noexcept : CtxOp(ctx), until_(until) {}
  SleepOp(SleepOp&& other) noexcept : CtxOp(other.ctx()), until_(other.until_) {}

  bool start(Waiter& waiter) {
    if (refused()) return true;
    suspend(waiter);
    if (until_ != TimePoint::max()) ctx().core().timers().add(timer_, until_);
    return false;
  }
  void take() const noexcept {}

 private:
  void wake_up() { finish(); }
  void detach() noexcept override { timer_.cancel(); }

  TimePoint until_;
  Bound<TimerNode, &SleepOp::wake_up> timer_{*this};
};

class [[nodiscard("co_await it: it does nothing before it is awaited")]] YieldOp final
    : public CtxOp {
 public:
  using value_type = void;
  explicit YieldOp(Ctx& ctx) noexcept : CtxOp(ctx) {}
  YieldOp(YieldOp&&) = default;
  bool start(Waiter& waiter) {
    if (refused()) return true;
    suspend(waiter);
    finish();
    return false;
  }
  void take() const noexcept {}

 private:
  void detach() noexcept override {}
};

}  // namespace async_detail

/// Waits for `duration` by the clock (never less; up to a millisecond more). Fails when `ctx` is
/// cancelled or its deadline comes first. Nanos::max(): until then.
inline async_detail::SleepOp sleep(Ctx& ctx, Nanos duration) {
  return async_detail::SleepOp(ctx, later(ctx.core().read_clock(), duration));
}
inline async_detail::SleepOp sleep_until(Ctx& ctx, TimePoint until) {
  return async_detail::SleepOp(ctx, until);
}

/// Lets other ready work of this core run first.
inline async_detail::YieldOp yield(Ctx& ctx) { return async_detail::YieldOp(ctx); }

/// Runs `body(Ctx&)` with a deadline at most `duration` from now; fails with deadline_exceeded when
/// that passes. Nanos::max() is no deadline. `body` is kept until its Task has ended.
///   auto rsp = co_await within(ctx, 50ms, [&](Ctx& soon) { return hello.say(soon, req); });
template <class Body>
auto within(Ctx& ctx, Nanos duration, Body body) -> std::invoke_result_t<Body&, Ctx&> {
  if (!async_detail::may_use(ctx.core())) co_return async_detail::wrong_core(ctx);
  Ctx soon(ctx, Deadline(later(ctx.core().read_clock(), duration)));
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;
  auto task = body(soon);
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    co_return ok;
  } else {
    co_return co_await std::move(task);
  }
}

}  // namespace m3
