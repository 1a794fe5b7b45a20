// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "m3/async/runtime.h"
#include "m3/async/task.h"

namespace m3::testing {

/// Time that is moved by the test. Starts one day after the epoch of steady_clock.
class SimClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint(Nanos(ns_.load(std::memory_order_relaxed))); }
  void set(TimePoint at) { ns_.store(at.time_since_epoch().count(), std::memory_order_relaxed); }
  void advance(Nanos by) { set(now() + by); }

 private:
  std::atomic<std::int64_t> ns_{std::chrono::nanoseconds(std::chrono::hours(24)).count()};
};

/// Cores on virtual time, stepped by the test's own thread: the same seed gives the same run.
/// Time jumps to the next timer when nothing else is left to do, so nothing ever sleeps.
class SimRuntime {
 public:
  explicit SimRuntime(unsigned cores = 1, std::uint64_t seed = 0);
  SimRuntime(const SimRuntime&) = delete;
  SimRuntime& operator=(const SimRuntime&) = delete;
  ~SimRuntime();

  /// A run that needs more virtual time than this is stuck.
  static constexpr Nanos kLimit = std::chrono::hours(24 * 30);

  Runtime& runtime() noexcept { return runtime_; }
  Core& core(unsigned index = 0) noexcept { return runtime_.core(index); }
  SimClock& clock() noexcept { return clock_; }
  /// M3_TEST_SEED, or 1; printed by a failing test so that it can be replayed.
  std::uint64_t seed() const noexcept { return seed_; }

  /// Runs what is ready now; time stands still.
  void settle();
  /// Runs everything due within that time.
  void run_for(Nanos duration);
  /// Runs until `done()`; false when nothing is left that could make it true, or `limit` has
  /// passed.
  bool run_until(const std::function<bool()>& done, Nanos limit = kLimit);

  /// Runs body(Ctx&) on a core to its end. deadline_exceeded if it does not end within `limit`.
  template <class Body>
  auto run(Body body, Nanos limit = kLimit)
      -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type>;

 private:
  bool step_all();
  TimePoint next_event();

  std::uint64_t seed_;
  SimClock clock_;
  Runtime runtime_;
};

template <class Body>
auto SimRuntime::run(Body body, Nanos limit)
    -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type> {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;
  struct Job final : async_detail::Runnable {
    explicit Job(Body& made)
        : Runnable(async_detail::run_member<Runnable, &Job::begin>), body(made) {}
    void begin() {
      root.start(*this, async_detail::task_of([this] { return body(*ctx); }));
    }
    void ended(Result<T> outcome) { result.emplace(std::move(outcome)); }
    Body& body;
    std::optional<Ctx> ctx;
    async_detail::Root<T, Job> root;
    std::optional<Result<T>> result;
  };
  Job job(body);
  job.ctx.emplace(core());
  core().post(job);
  if (!run_until([&] { return job.result.has_value(); }, limit)) {
    job.ctx->cancel(CancelReason::shutdown);
    settle();
    if (!job.result)
      return Status(Errc::deadline_exceeded,
                    "the simulated run neither ended nor could be cancelled");
    return Status(Errc::deadline_exceeded,
                  "the simulated run is stuck: nothing is left to wake it");
  }
  return *std::move(job.result);
}

}  // namespace m3::testing
