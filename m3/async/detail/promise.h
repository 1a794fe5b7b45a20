// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <coroutine>
#include <utility>

#include "m3/async/detail/frame_pool.h"
#include "m3/base/status.h"

// How frames are chained. A frame that fails does not resume the frame that awaits it: that one
// fails too, and so on upwards, until one is awaited with as_result or the chain ends in a root (a
// dispatcher, a Scope). The as_result destroys the abandoned frames and continues.
//
// A child is started inside its parent's await_suspend ("inline"). While that call is on the native
// stack, the child only notes how it ended; the parent reads it when resume() returns. After that,
// the code that ends the child continues the chain. So an await that does not suspend costs no trip
// through a scheduler, and a loop of such awaits does not grow the stack.

namespace m3::async_detail {

/// Inside a catch: the exception as Errc::internal.
Status status_of_exception() noexcept;
/// The error of awaiting a Task without a frame.
Status empty_task_status();

struct PromiseBase : Pooled {
  /// The frame that awaits this one and fails with it; null for a root or a looked-at frame.
  PromiseBase* parent = nullptr;
  std::coroutine_handle<> continuation;
  /// End of a chain: called once when the frame ended (or failed) outside an inline start;
  /// returns what to resume next.
  std::coroutine_handle<> (*on_done)(void* arg) = nullptr;
  void* on_done_arg = nullptr;
  Status error;
  bool failed = false;
  bool returned = false;
  bool running_inline = false;

  void fail(Status status) noexcept {
    error = std::move(status);
    failed = true;
  }
  void catch_exception() noexcept { fail(status_of_exception()); }  // inside a catch
};

/// `frame` has failed: fails the frames above it and says what to resume. May destroy `frame`.
inline std::coroutine_handle<> climb(PromiseBase* frame) noexcept {
  while (frame->parent) {
    PromiseBase* up = frame->parent;
    up->fail(std::move(frame->error));
    frame = up;
    if (frame->running_inline) return std::noop_coroutine();
  }
  if (frame->on_done) return frame->on_done(frame->on_done_arg);
  return std::noop_coroutine();
}

/// The frame that is suspended in a leaf or a child await fails with `status`, from inside its own
/// await_suspend: the starter handles it if there is one on the stack, else the chain is unwound
/// now.
inline void fail_suspended(PromiseBase& frame, Status status) noexcept {
  frame.fail(std::move(status));
  if (!frame.running_inline) climb(&frame).resume();
}

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
    PromiseBase& promise = frame.promise();
    if (!promise.returned && !promise.failed) fell_off(promise);
    if (promise.running_inline) return std::noop_coroutine();
    if (promise.failed) return climb(&promise);
    if (promise.continuation) return promise.continuation;
    if (promise.on_done) return promise.on_done(promise.on_done_arg);
    return std::noop_coroutine();
  }
  void await_resume() const noexcept {}

 private:
  static void fell_off(PromiseBase& promise) noexcept;
};

/// Runs a frame without an awaiting coroutine up to its first suspension. True when it ended; if
/// not, `on_done` is called later, when it has.
inline bool start_root(std::coroutine_handle<> frame, PromiseBase& promise,
                       std::coroutine_handle<> (*on_done)(void*), void* arg) {
  promise.on_done = on_done;
  promise.on_done_arg = arg;
  promise.running_inline = true;
  frame.resume();
  promise.running_inline = false;
  return promise.failed || frame.done();
}

}  // namespace m3::async_detail
