// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/ctx.h"
#include "m3/base/result.h"

namespace m3 {
class Runtime;
}

namespace m3::async_detail {

/// Runtime::submit_blocking().
Status submit_blocking(Runtime& runtime, std::function<void()> job);

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
    error() = submit_blocking(runtime_, [shared = shared_] { shared->run(shared); });
    if (!error()) return true;
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
        : Runnable(run_member<Runnable, &Shared::back>), home(core), fn(std::move(made)) {}
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

}  // namespace m3::async_detail
