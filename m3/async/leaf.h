// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <coroutine>
#include <type_traits>
#include <utility>

#include "m3/async/detail/promise.h"
#include "m3/base/result.h"

// Leaf operations: what a coroutine can wait for besides another Task. A leaf is a class with
//
//   using m3_leaf_op = void;
//   using value_type = T;       // what co_await returns
//   bool start(Waiter& waiter); // true: finished at once
//   Status& error();            // OK after a success
//   T take();                   // moves the value out, once, after a success
//
// `co_await op` returns the T or ends the coroutine with the error; `co_await as_result(op)`
// returns the Result. After start() returned false the op calls waiter.complete() exactly once.
// That resumes the coroutine immediately, so it happens in the core's ready queue and nowhere else:
// a resumed coroutine (which may cancel, close, call again) must never run inside a loop over one
// of m3's own lists.
//
// When the core calls back (a timer, the ready queue, a cancellation), a node calls the member
// function that it was given: m3/async/bound.h, and m3/async/once.h for a lambda that runs on
// another core.
//
// Most leaves derive from CtxOp (m3/async/ctx.h), which knows all of that: it refuses to start
// when the context is cancelled or its time is over, ends when either happens meanwhile, and
// queues the completion. Such a leaf has start(), take() and detach():
//
//   class Arrival final : public async_detail::CtxOp {
//    public:
//     using value_type = void;
//     Arrival(Ctx& ctx, Station& station) : CtxOp(ctx), station_(station) {}
//     Arrival(Arrival&& other) noexcept : CtxOp(other.ctx()), station_(other.station_) {}
//     bool start(async_detail::Waiter& waiter) {
//       if (refused()) return true;          // error() says why
//       station_.waiting = this;
//       suspend(waiter);
//       return false;                        // later: station.waiting->finish()
//     }
//     void take() const noexcept {}
//    private:
//     void detach() noexcept override { station_.waiting = nullptr; }  // cancelled, or too late
//     Station& station_;
//   };

namespace m3::async_detail {

/// Whether the ready queue is what runs, and no walk over a list (Walk) inside it. For assertions.
bool may_resume() noexcept;

class Waiter {
 public:
  /// The op is finished: the waiting coroutine continues, or fails. `*this` may be destroyed
  /// afterwards.
  void complete() {
    assert(may_resume() && "a coroutine was resumed outside the ready queue");
    on_complete_(this);
  }

 protected:
  explicit Waiter(void (*on_complete)(Waiter*)) noexcept : on_complete_(on_complete) {}
  ~Waiter() = default;

 private:
  void (*on_complete_)(Waiter*);
};

/// co_await op. `Op` is the type of the expression: an rvalue stays alive in the caller's frame.
template <class Op>
class [[nodiscard("co_await it")]] OpAwaiter : Waiter {
 public:
  using Bare = std::remove_reference_t<Op>;
  explicit OpAwaiter(Bare& op) noexcept : Waiter(&OpAwaiter::done), op_(op) {}
  OpAwaiter(const OpAwaiter&) = delete;
  OpAwaiter& operator=(const OpAwaiter&) = delete;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame) {
    frame_ = frame;
    promise_ = &frame.promise();
    if (!op_.start(*this)) return true;
    if (op_.error().is_ok()) return false;
    fail_suspended(*promise_, std::move(op_.error()));
    return true;
  }
  typename Bare::value_type await_resume() { return op_.take(); }

 private:
  static void done(Waiter* waiter) {
    auto* self = static_cast<OpAwaiter*>(waiter);
    if (self->op_.error().is_ok())
      self->frame_.resume();
    else
      fail_suspended(*self->promise_, std::move(self->op_.error()));
  }

  Bare& op_;
  std::coroutine_handle<> frame_;
  PromiseBase* promise_ = nullptr;
};

/// co_await as_result(op).
template <class Op>
class [[nodiscard("co_await it: as_result does nothing before it is awaited")]] OpLook : Waiter {
 public:
  using T = typename Op::value_type;
  explicit OpLook(Op&& op) noexcept : Waiter(&OpLook::done), op_(std::move(op)) {}
  OpLook(const OpLook&) = delete;
  OpLook& operator=(const OpLook&) = delete;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame) {
    frame_ = frame;
    return !op_.start(*this);
  }
  Result<T> await_resume() {
    if (!op_.error().is_ok()) return Result<T>(std::move(op_.error()));
    if constexpr (std::is_void_v<T>) {
      op_.take();
      return Result<T>();
    } else {
      return Result<T>(op_.take());
    }
  }

 private:
  static void done(Waiter* waiter) { static_cast<OpLook*>(waiter)->frame_.resume(); }

  Op op_;
  std::coroutine_handle<> frame_;
};

}  // namespace m3::async_detail

namespace m3 {

template <class Op>
  requires requires { typename Op::m3_leaf_op; }
async_detail::OpLook<Op> as_result(Op op) {
  return async_detail::OpLook<Op>(std::move(op));
}

}  // namespace m3
