// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "m3/async/detail/promise.h"
#include "m3/base/result.h"
#include "m3/base/status.h"

namespace m3 {

template <class T>
class Task;

namespace async_detail {

template <class T>
struct Promise;

template <class T>
class TaskAwaiter;

template <class T>
class TaskLook;

template <class Op>
class OpAwaiter;

template <class T>
inline constexpr bool kIsTask = false;
template <class T>
inline constexpr bool kIsTask<Task<T>> = true;
template <class T>
inline constexpr bool kIsResult = false;
template <class T>
inline constexpr bool kIsResult<Result<T>> = true;

/// A leaf operation (timer, channel, call, socket): see op.h.
template <class Op>
concept LeafOp = requires { typename std::remove_cvref_t<Op>::m3_leaf_op; };

}  // namespace async_detail

/// A coroutine that returns a T or fails with a Status. Lazy: nothing runs before it is awaited.
/// Owns its frame; move-only. Awaited once, on the core where it was created:
///   - `T v = co_await task;`      on an error the awaiting coroutine ends with the same Status
///   - `Result<T> r = co_await as_result(std::move(task));`   to look at the error instead
/// In a coroutine: `co_return value;`, `co_return m3::ok;` (Task<>), `co_return Status(…)`.
/// A Task that never ran is destroyed without running.
template <class T = void>
class [[nodiscard("co_await it: a Task does nothing before it is awaited"),
        gnu::warn_unused]] Task {
 public:
  using value_type = T;
  using promise_type = async_detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() noexcept = default;
  explicit Task(Handle frame) noexcept : frame_(frame) {}
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  ~Task() {
    // Here, so that they are the only error of a function that returns such a Task.
    static_assert(!std::is_same_v<T, Status>,
                  "a Task can already fail with a Status: write Task<>, and co_return the Status");
    static_assert(
        !async_detail::kIsResult<T>,
        "a Task can already fail with a Status: write Task<T> instead of Task<Result<T>>");
    if (frame_) frame_.destroy();
  }

  /// False for a default-constructed or moved-from Task, which must not be awaited.
  bool valid() const noexcept { return static_cast<bool>(frame_); }

  async_detail::TaskAwaiter<T> operator co_await() && noexcept {
    return async_detail::TaskAwaiter<T>(std::exchange(frame_, {}));
  }

  /// For code that runs frames itself (dispatcher, Scope, tests): see promise.h.
  Handle frame() const noexcept { return frame_; }
  Handle release() noexcept { return std::exchange(frame_, {}); }

 private:
  Handle frame_;
};

namespace async_detail {

template <class T>
struct PromiseCommon : PromiseBase {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { catch_exception(); }

  template <class U>
  TaskAwaiter<U> await_transform(Task<U>&& task) noexcept {
    return std::move(task).operator co_await();
  }
  template <class U>
  TaskAwaiter<U> await_transform(Task<U>& task) noexcept {
    static_assert(!std::is_same_v<Task<U>, Task<U>>,
                  "a Task is awaited once: write co_await f(ctx), or co_await std::move(task)");
    return std::move(task).operator co_await();
  }
  template <LeafOp Op>
  OpAwaiter<Op> await_transform(Op&& op) noexcept {
    return OpAwaiter<Op>(op);
  }
  template <class Awaitable>
    requires(!LeafOp<Awaitable>)
  Awaitable&& await_transform(Awaitable&& awaitable) noexcept {
    return std::forward<Awaitable>(awaitable);
  }

 protected:
  /// True when `status` was OK.
  bool take_status(Status status) noexcept {
    this->returned = true;
    if (status.is_ok()) return true;
    this->fail(std::move(status));
    return false;
  }
};

template <class T>
struct Promise final : PromiseCommon<T> {
  std::optional<T> value;

  Task<T> get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
  }

  template <class U = T>
  void return_value(U&& result) {
    using Given = std::remove_cvref_t<U>;
    static_assert(!std::is_same_v<Given, Ok>,
                  "co_return m3::ok ends a Task<>: this Task<T> needs a T, or a Status with the "
                  "reason why not");
    constexpr bool kIsValue = std::is_constructible_v<T, U>;
    static_assert(
        std::is_same_v<Given, Ok> || std::is_same_v<Given, Status> ||
            std::is_same_v<Given, Result<T>> || kIsValue,
        "co_return needs a T, a Result<T>, or a Status with the reason why there is no T");
    if constexpr (std::same_as<Given, Status>) {
      if (this->take_status(std::forward<U>(result)))
        this->fail(Status(Errc::internal, "co_return of an OK status where a value was expected"));
    } else if constexpr (std::same_as<Given, Result<T>>) {
      if (result.is_ok()) {
        value.emplace(*std::forward<U>(result));
        this->returned = true;
      } else {
        this->take_status(std::forward<U>(result).status());
      }
    } else if constexpr (kIsValue) {
      value.emplace(std::forward<U>(result));
      this->returned = true;
    }
  }
  T take() { return std::move(*value); }
  Result<T> take_result() {
    if (this->failed) return Result<T>(std::move(this->error));
    return Result<T>(std::move(*value));
  }
};

template <>
struct Promise<void> final : PromiseCommon<void> {
  Task<void> get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
  }
  void return_value(Status status) noexcept { take_status(std::move(status)); }
  void return_value(Ok) noexcept { returned = true; }
  void return_value(Result<void> result) noexcept { take_status(std::move(result).status()); }
  template <class U>
    requires(!std::is_convertible_v<U, Status> && !std::is_convertible_v<U, Result<void>>)
  void return_value(U&&) noexcept {
    static_assert(std::is_void_v<U>,
                  "a Task<> has no value: end it with co_return m3::ok, or with a Status");
  }
  void take() const noexcept {}
  Result<void> take_result() {
    if (failed) return Result<void>(std::move(error));
    return {};
  }
};

/// co_await task.
template <class T>
class [[nodiscard("co_await it")]] TaskAwaiter {
 public:
  using Handle = typename Task<T>::Handle;
  explicit TaskAwaiter(Handle child) noexcept : child_(child) {}
  TaskAwaiter(TaskAwaiter&& other) noexcept : child_(std::exchange(other.child_, {})) {}
  TaskAwaiter& operator=(TaskAwaiter&&) = delete;
  ~TaskAwaiter() {
    if (child_) child_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  template <class ParentPromise>
  bool await_suspend(std::coroutine_handle<ParentPromise> parent) {
    static_assert(std::derived_from<ParentPromise, PromiseBase>,
                  "a Task is awaited in a Task; from Asio code use m3::async_run");
    PromiseBase& above = parent.promise();
    if (!child_) [[unlikely]] {
      fail_suspended(above, empty_task_status());
      return true;
    }
    auto& promise = child_.promise();
    promise.parent = &above;
    promise.continuation = parent;
    promise.running_inline = true;
    child_.resume();
    promise.running_inline = false;
    if (promise.failed) {
      fail_suspended(above, std::move(promise.error));
      return true;
    }
    return !child_.done();
  }
  T await_resume() { return child_.promise().take(); }

 private:
  Handle child_;
};

/// co_await as_result(task).
template <class T>
class [[nodiscard("co_await it: as_result does nothing before it is awaited")]] TaskLook {
 public:
  explicit TaskLook(Task<T> task) noexcept : task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> looker) {
    looker_ = looker;
    if (!task_.valid()) [[unlikely]] {
      result_.emplace(empty_task_status());
      return false;
    }
    auto frame = task_.frame();
    if (!start_root(frame, frame.promise(), &TaskLook::on_done, this)) return true;
    finish();
    return false;
  }
  Result<T> await_resume() { return *std::move(result_); }

 private:
  static std::coroutine_handle<> on_done(void* self) {
    auto* look = static_cast<TaskLook*>(self);
    look->finish();
    return look->looker_;
  }
  /// Takes the outcome and destroys the frames, innermost first, before the awaiting coroutine
  /// continues.
  void finish() {
    result_.emplace(task_.frame().promise().take_result());
    task_ = Task<T>();
  }

  Task<T> task_;
  std::coroutine_handle<> looker_;
  std::optional<Result<T>> result_;
};

/// Runs a Task that no coroutine awaits, and passes the outcome to its owner, which has a function
/// `void ended(Result<T>)`. Core-local.
template <class T, class Owner>
class Root {
 public:
  Root() noexcept = default;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  /// Runs the task until its first suspension. owner.ended() is called once, when it has ended and
  /// its frames are destroyed: before this returns, or later from the core's loop. It may destroy
  /// the owner, and with it this.
  void start(Owner& owner, Task<T> task);

 private:
  static std::coroutine_handle<> on_done(void* arg) {
    auto* self = static_cast<Root*>(arg);
    Result<T> result = self->task_.frame().promise().take_result();
    self->task_ = Task<T>();
    self->owner_->ended(std::move(result));
    return std::noop_coroutine();
  }

  Owner* owner_ = nullptr;
  Task<T> task_;
};

/// A Task that fails with `status`.
template <class T>
Task<T> failed_task(Status status) {
  co_return status;
}

template <class T, class Owner>
void Root<T, Owner>::start(Owner& owner, Task<T> task) {
  owner_ = &owner;
  task_ = task.valid() ? std::move(task) : failed_task<T>(empty_task_status());
  auto frame = task_.frame();
  if (start_root(frame, frame.promise(), &Root::on_done, this)) on_done(this);
}

/// Runs body() from non-coroutine code: if it throws or returns an empty Task, the result is a Task
/// that fails.
template <class Body>
auto task_of(Body&& body) noexcept -> std::invoke_result_t<Body&&> {
  using T = typename std::invoke_result_t<Body&&>::value_type;
  try {
    auto task = std::forward<Body>(body)();
    return task.valid() ? std::move(task) : failed_task<T>(empty_task_status());
  } catch (...) {
    return failed_task<T>(status_of_exception());
  }
}

}  // namespace async_detail

/// Awaits the task and returns its Result, instead of ending the caller on an error. Frames
/// abandoned by an error are destroyed, innermost first, before the caller continues.
template <class T>
async_detail::TaskLook<T> as_result(Task<T>&& task) {
  return async_detail::TaskLook<T>(std::move(task));
}
template <class T>
async_detail::TaskLook<T> as_result(Task<T>& task) {
  static_assert(!std::is_same_v<Task<T>, Task<T>>,
                "a Task is awaited once: write as_result(f(ctx)), or as_result(std::move(task))");
  return async_detail::TaskLook<T>(std::move(task));
}

}  // namespace m3

#include "m3/async/leaf.h"  // IWYU pragma: export
