// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/async/task.h"

namespace m3 {

namespace async_detail {

/// Counts running branches; its waiter continues when all have ended.
class Join {
 public:
  explicit Join(Core& core) noexcept : core_(core) {}

  /// Runs the task as a branch; its outcome is stored in `out`.
  template <class T>
  struct Branch {
    void start(Join& owner) {
      join = &owner;
      ++owner.running_;
      root.start(*this, std::move(task));
    }
    void ended(Result<T> result) {
      out.emplace(std::move(result));
      if (on_end) on_end(on_end_arg);
      join->ended();
    }
    Task<T> task;
    Root<T, Branch> root;
    std::optional<Result<T>> out;
    Join* join = nullptr;
    void (*on_end)(void*) = nullptr;
    void* on_end_arg = nullptr;
  };

  /// Leaf op: always waits for every branch, also when cancelled (they share the cancellation).
  class [[nodiscard("co_await it")]] WaitOp {
   public:
    using m3_leaf_op = void;
    using value_type = void;
    explicit WaitOp(Join& join) noexcept : join_(join) {}
    Status& error() noexcept { return error_; }
    bool start(Waiter& waiter) {
      if (join_.running_ == 0) return true;
      join_.waiter_ = &waiter;
      return false;
    }
    void take() const noexcept {}

   private:
    Join& join_;
    Status error_;
  };
  WaitOp wait() noexcept { return WaitOp(*this); }

 private:
  void complete() { std::exchange(waiter_, nullptr)->complete(); }
  void ended() {
    if (--running_ == 0 && waiter_) core_.ready(done_);
  }

  std::size_t running_ = 0;
  Waiter* waiter_ = nullptr;
  Bound<Runnable, &Join::complete> done_{*this};
  Core& core_;
};

template <class T>
using Storable = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
Storable<T> value_of(std::optional<Result<T>>& out) {
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return *std::move(*out);
}

}  // namespace async_detail

/// Runs the tasks side by side on this core and waits for all of them. Returns their values (void
/// counts as std::monostate), or fails with the first error in the order written, after every task
/// has ended.
template <class... T>
Task<std::tuple<async_detail::Storable<T>...>> when_all(Core& core, Task<T>... tasks) {
  if (async_detail::CoreBound home(core); !home.here()) co_return home.refusal("Core of when_all");
  async_detail::Join join(core);
  std::tuple<async_detail::Join::Branch<T>...> branches;
  std::apply([&](auto&... branch) { ((branch.task = std::move(tasks)), ...); }, branches);
  std::apply([&](auto&... branch) { (branch.start(join), ...); }, branches);
  co_await join.wait();
  Status first;
  std::apply(
      [&](auto&... branch) {
        ((first.is_ok() && !branch.out->is_ok() ? void(first = branch.out->status()) : void()),
         ...);
      },
      branches);
  if (!first.is_ok()) co_return first;
  co_return std::apply(
      [](auto&... branch) {
        return std::tuple<async_detail::Storable<T>...>(async_detail::value_of(branch.out)...);
      },
      branches);
}

/// The same for any number of tasks of one kind.
template <class T>
Task<std::vector<async_detail::Storable<T>>> when_all(Core& core, std::vector<Task<T>> tasks) {
  if (async_detail::CoreBound home(core); !home.here()) co_return home.refusal("Core of when_all");
  async_detail::Join join(core);
  std::vector<async_detail::Join::Branch<T>> branches(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) branches[i].task = std::move(tasks[i]);
  for (auto& branch : branches) branch.start(join);
  co_await join.wait();
  std::vector<async_detail::Storable<T>> values;
  values.reserve(branches.size());
  for (auto& branch : branches) {
    if (!branch.out->is_ok()) co_return branch.out->status();
    values.push_back(async_detail::value_of(branch.out));
  }
  co_return values;
}

/// The result of when_any: which branch ended first, and its outcome.
template <class T>
struct First {
  First(std::size_t which, Result<T> how) : index(which), result(std::move(how)) {}
  std::size_t index;
  Result<T> result;
};

/// Runs `bodies(Ctx&)` side by side, all returning Task<T>. The first to end, with or without an
/// error, wins; the others are cancelled (CancelReason::superseded) and waited for.
template <class Body, class... Bodies>
auto when_any(Ctx& ctx, Body body, Bodies... bodies)
    -> Task<First<typename std::invoke_result_t<Body&, Ctx&>::value_type>> {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;
  constexpr std::size_t kCount = 1 + sizeof...(Bodies);
  struct Race {
    std::size_t winner = SIZE_MAX;
    Ctx* losers = nullptr;
  };
  struct Entry {
    Race* race;
    std::size_t index;
  };
  if (!async_detail::may_use(ctx.core())) co_return async_detail::wrong_core(ctx);
  Ctx inner(ctx, Deadline::never());
  Race race;
  race.losers = &inner;
  async_detail::Join join(ctx.core());
  async_detail::Join::Branch<T> branches[kCount];
  Entry entries[kCount];
  std::size_t next = 0;
  auto start = [&](auto& make) {
    const std::size_t i = next++;
    if (race.winner != SIZE_MAX) return;  // there is a winner already: do not even start
    entries[i].race = &race;
    entries[i].index = i;
    branches[i].on_end_arg = &entries[i];
    branches[i].on_end = [](void* arg) {
      auto* entry = static_cast<Entry*>(arg);
      if (entry->race->winner != SIZE_MAX) return;
      entry->race->winner = entry->index;
      entry->race->losers->cancel(CancelReason::superseded);
    };
    branches[i].task = async_detail::task_of([&] { return make(inner); });
    branches[i].start(join);
  };
  start(body);
  (start(bodies), ...);
  co_await join.wait();
  co_return First<T>(race.winner, *std::move(branches[race.winner].out));
}

}  // namespace m3
