// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <coroutine>
#include <type_traits>
#include <utility>

#include "m3/async/promise.h"
#include "m3/base/result.h"

// Leaf operations: what a coroutine can wait for besides another Task.
//
// A leaf op is a class with
//   using m3_leaf_op = void;
//   using value_type = T;
//   bool start(Waiter& waiter);
//   Status& error();
//   T take();
// start() gives true when the op finished at once; after false it calls waiter.complete() once,
// later. error() is not OK after a failure, take() moves the value out after a success.
// `co_await op` gives the T or ends the coroutine with the error; `co_await as_result(op)` gives
// the Result. complete() resumes the coroutine there and then, so it is called from the core's
// ready queue and from nowhere else: what a resumed coroutine does (cancel, close, call again) must
// never meet a loop over one of m3's own lists.

namespace m3::async_detail {

/// Whether the ready queue is what runs, and no walk over a list (Walk) inside it. For assertions.
bool may_resume() noexcept;

class Waiter {
 public:
  /// The op is finished: the waiting coroutine goes on, or fails. `*this` may be gone afterwards.
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

/// co_await op. `Op` is what the expression gave: an rvalue stays alive in the caller's frame.
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
