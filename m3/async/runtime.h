// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "m3/async/core.h"
#include "m3/async/task.h"

namespace m3 {

struct RuntimeConfig {
  unsigned cores = 0;             ///< 0 = one per CPU this process may use
  bool pin = false;               ///< bind core i to the i-th of those CPUs
  Nanos spin{0};                  ///< poll before sleeping: lower latency for a busy CPU; 0 = never
  Nanos stall_warning{0};         ///< log the task that keeps a core this long; 0 = no watchdog
  unsigned blocking_threads = 2;  ///< helpers of run_blocking
  std::size_t blocking_waiting = 10000;  ///< functions that may wait for one of them
  std::uint64_t seed = 0;                ///< of the cores' random generators; 0 = from the system
};

/// The cores, their threads, the helper pool of run_blocking and the stall watchdog. Owned by App;
/// outlives all work on its cores. Two may live in one process.
class Runtime {
 public:
  explicit Runtime(RuntimeConfig config);
  /// On a clock of its own; no threads are started then, the owner steps the cores (SimRuntime).
  Runtime(RuntimeConfig config, const Clock& clock);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();  ///< stop()

  unsigned size() const noexcept { return static_cast<unsigned>(cores_.size()); }
  Core& core(unsigned index) noexcept { return *cores_[index]; }

  void start();
  /// Ends the loops and joins the threads. Work still suspended is not run again: close Scopes
  /// first.
  void stop();

  /// Queues `job` for a helper thread. False: too many wait already, it is dropped.
  [[nodiscard]] bool submit_blocking(std::function<void()> job);

  /// From a thread that is not a core: runs body(Ctx&) on a core and waits for the outcome. On a
  /// core it would wait for itself, and before start() for ever: failed_precondition then.
  template <class Body>
  auto block_on(Core& core, Body body)
      -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type>;

 private:
  Status can_block() const;
  bool is_own(const Core* core) const noexcept;

  struct Helpers;
  struct Watchdog;

  RuntimeConfig config_;
  std::atomic<bool> running_{false};
  std::vector<std::unique_ptr<Core>> cores_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Helpers> helpers_;
  std::unique_ptr<Watchdog> watchdog_;
};

namespace async_detail {

/// A task that runs on another core for someone who waits. Both messages and the cancel message
/// live in it, so it stays until the last of them came back.
template <class Body>
class [[nodiscard("co_await it: it does nothing before it is awaited")]] RemoteOp final
    : public CtxOp {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;

 public:
  using value_type = T;
  RemoteOp(Ctx& ctx, Core& target, Body body)
      : CtxOp(ctx), target_(target), body_(std::move(body)) {}
  RemoteOp(RemoteOp&& other) noexcept
      : CtxOp(other.ctx()), target_(other.target_), body_(std::move(other.body_)) {}

  bool start(Waiter& waiter) {
    if (refused()) return true;
    facts_ = ctx().facts();
    suspend(waiter);
    target_.post(start_);
    return false;
  }
  T take() {
    if constexpr (!std::is_void_v<T>) return **std::move(result_);
  }

 private:
  struct Message final : async_detail::Runnable {
    Message(RemoteOp& owner, void (RemoteOp::*fn)())
        : async_detail::Runnable([](async_detail::Runnable& r) {
            auto& self = static_cast<Message&>(r);
            (self.op.*self.step)();
          }),
          op(owner),
          step(fn) {}
    RemoteOp& op;
    void (RemoteOp::*step)();
  };

  // On the target core.
  void begin() {
    // The context at home waits for this side to end, so what the facts refer to stays.
    remote_.emplace(target_, ctx().deadline(), facts_);
    target_.set_task_name(remote_->name());
    root_.start(*this, task_of([this] { return body_(*remote_); }));
  }
  void ended(Result<T> result) {
    result_.emplace(std::move(result));
    remote_.reset();
    ctx().core().post(done_);
  }
  void cancel_there() {
    if (remote_) remote_->cancel(reason_);
    ctx().core().post(cancel_back_);
  }

  // On the caller's core.
  void came_back() {
    home_done_ = true;
    try_finish();
  }
  void cancel_came_back() {
    cancel_pending_ = false;
    try_finish();
  }
  void try_finish() {
    if (!home_done_ || cancel_pending_) return;
    if (result_->is_ok())
      finish();
    else
      finish(std::move(*result_).status());
  }
  /// The other side is told and waited for.
  bool ends_itself_when_cancelled() noexcept override {
    reason_ = ctx().reason();
    cancel_pending_ = true;
    target_.post(cancel_);
    return true;
  }
  void detach() noexcept override {}

  Core& target_;
  Body body_;
  Ctx::Facts facts_;
  CancelReason reason_ = CancelReason::none;
  Message start_{*this, &RemoteOp::begin};
  Message done_{*this, &RemoteOp::came_back};
  Message cancel_{*this, &RemoteOp::cancel_there};
  Message cancel_back_{*this, &RemoteOp::cancel_came_back};
  bool home_done_ = false;       // caller's core
  bool cancel_pending_ = false;  // caller's core
  std::optional<Ctx> remote_;
  friend class Root<T, RemoteOp>;
  Root<T, RemoteOp> root_;
  std::optional<Result<T>> result_;
};

/// A function on a helper thread. The record is shared: a cancelled caller leaves it behind.
template <class F>
class [[nodiscard("co_await it: it does nothing before it is awaited")]] BlockingOp final
    : public CtxOp {
  using R = std::invoke_result_t<F&>;
  static constexpr bool kFallible = requires(R r) {
    typename R::value_type;
    std::move(r).status();
  };

  template <class U>
  struct Unwrap {
    using type = U;
  };
  template <class U>
  struct Unwrap<Result<U>> {
    using type = U;
  };
  template <class U>
    requires std::same_as<U, Status>
  struct Unwrap<U> {
    using type = void;
  };

 public:
  using value_type = typename Unwrap<R>::type;

  BlockingOp(Ctx& ctx, Runtime& runtime, F fn)
      : CtxOp(ctx),
        runtime_(runtime),
        shared_(std::make_shared<Shared>(ctx.core(), std::move(fn))) {}
  BlockingOp(BlockingOp&& other) noexcept
      : CtxOp(other.ctx()), runtime_(other.runtime_), shared_(std::move(other.shared_)) {}

  bool start(Waiter& waiter) {
    if (refused()) return true;
    shared_->op = this;
    if (!runtime_.submit_blocking([shared = shared_] { shared->run(shared); })) {
      error() = Status(Errc::resource_exhausted,
                       "too many blocking functions wait for a helper thread: blocking_threads = N "
                       "makes more of them");
      return true;
    }
    suspend(waiter);
    return false;
  }
  value_type take() {
    if constexpr (!std::is_void_v<value_type>) {
      if constexpr (std::is_same_v<R, Result<value_type>>)
        return **std::move(shared_->result);
      else
        return *std::move(shared_->result);
    }
  }

 private:
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<R>, Nothing, R>;
  struct Shared final : async_detail::Runnable {
    Shared(Core& core, F made)
        : async_detail::Runnable([](async_detail::Runnable& r) { static_cast<Shared&>(r).back(); }),
          home(core),
          fn(std::move(made)) {}
    void run(const std::shared_ptr<Shared>& self) {
      if (!wanted.load(std::memory_order_relaxed)) return;
      try {
        if constexpr (std::is_void_v<R>)
          fn();
        else
          result.emplace(fn());
      } catch (...) {
        error = status_of_exception();
      }
      keep = self;
      home.post(*this);
    }
    void back() {
      auto self = std::move(keep);
      if (!op) return;  // the caller was cancelled meanwhile
      if (error.is_ok()) {
        if constexpr (std::is_same_v<R, Status>)
          error = std::move(*result);
        else if constexpr (!std::is_void_v<R> && std::is_same_v<R, Result<value_type>>)
          error = result->status();
      }
      op->finish(std::move(error));
    }
    Core& home;
    F fn;
    BlockingOp* op = nullptr;  // home core only
    std::atomic<bool> wanted{true};
    std::optional<Held> result;
    Status error;
    std::shared_ptr<Shared> keep;
  };
  void detach() noexcept override {
    shared_->op = nullptr;
    shared_->wanted.store(false, std::memory_order_relaxed);
  }

  Runtime& runtime_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace async_detail

/// Runs body(Ctx&) on another core of the same Runtime and waits for its outcome. The other side
/// gets a context of its own with this one's deadline and call facts (caller, metadata, trace,
/// name); cancelling this one cancels it there.
///   `int n = co_await m3::run_on(ctx, runtime.core(1), [](m3::Ctx& there) { return count(there);
///   });`
template <class Body>
async_detail::RemoteOp<Body> run_on(Ctx& ctx, Core& target, Body body) {
  return async_detail::RemoteOp<Body>(ctx, target, std::move(body));
}

/// Runs fn() on a helper thread: for calls that block (a file, a database library). fn may give a
/// value, a Result or a Status; an exception becomes Errc::internal. When `ctx` is cancelled the
/// caller goes on at once; fn is not run if it has not begun, else its outcome is dropped: what fn
/// refers to must be its own. resource_exhausted when too many wait for a helper.
template <class F>
async_detail::BlockingOp<F> run_blocking(Ctx& ctx, Runtime& runtime, F fn) {
  return async_detail::BlockingOp<F>(ctx, runtime, std::move(fn));
}

template <class Body>
auto Runtime::block_on(Core& core, Body body)
    -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type> {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;
  if (Status usable = can_block(); !usable) return usable;
  struct Job final : async_detail::Runnable {
    Job(Core& home, Body made)
        : Runnable([](Runnable& r) { static_cast<Job&>(r).begin(); }),
          core(home),
          body(std::move(made)) {}
    void begin() {
      ctx.emplace(core);
      root.start(*this, async_detail::task_of([this] { return body(*ctx); }));
    }
    void ended(Result<T> outcome) {
      ctx.reset();
      std::lock_guard lock(mutex);
      result.emplace(std::move(outcome));
      changed.notify_one();  // under the lock: *this goes as soon as the waiter has it
    }
    Core& core;
    Body body;
    std::optional<Ctx> ctx;
    async_detail::Root<T, Job> root;
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<T>> result;
  };
  Job job(core, std::move(body));
  core.post(job);
  std::unique_lock lock(job.mutex);
  job.changed.wait(lock, [&] { return job.result.has_value(); });
  return *std::move(job.result);
}

}  // namespace m3
