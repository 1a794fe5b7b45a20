// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "m3/async/core.h"
#include "m3/async/detail/blocked_call.h"
#include "m3/async/detail/blocking_op.h"
#include "m3/async/detail/remote_op.h"
#include "m3/async/task.h"

namespace m3 {

struct RuntimeConfig {
  unsigned cores = 0;             ///< 0 = one per CPU this process may use, by mask and quota
  bool pin = false;               ///< bind core i to the i-th of those CPUs
  Nanos spin{0};                  ///< poll before sleeping: lower latency for a busy CPU; 0 = never
  Nanos stall_warning{0};         ///< log the task that keeps a core this long; 0 = no watchdog
  unsigned blocking_threads = 2;  ///< helpers of run_blocking
  std::size_t blocking_waiting = 10000;  ///< functions that may wait for a thread
  std::uint64_t seed = 0;                ///< of the cores' random generators; 0 = from the system
};

/// The cores, their threads, the helper pool of run_blocking and the stall watchdog. Owned by App;
/// outlives all work on its cores. Two may exist in one process.
class Runtime {
 public:
  explicit Runtime(RuntimeConfig config);
  /// With its own clock; no threads are started then, the owner steps the cores (SimRuntime).
  Runtime(RuntimeConfig config, const Clock& clock);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();  ///< stop()

  unsigned size() const noexcept { return static_cast<unsigned>(cores_.size()); }
  Core& core(unsigned index) noexcept { return *cores_[index]; }
  /// What decided size(): "configured", "2 CPUs", "quota of 1.5 CPUs".
  const std::string& size_source() const noexcept { return size_source_; }

  void start();
  /// Ends the loops and joins the threads, then runs on this thread the work that cores which ended
  /// later posted to those that ended earlier. Suspended work is not resumed: close Scopes first. A
  /// block_on that waits for such work fails with cancelled.
  void stop();

  /// Queues `job` for a helper thread. `job` is dropped on an error: resource_exhausted when too
  /// many are waiting, cancelled when the runtime is stopping.
  Status submit_blocking(std::function<void()> job);

  /// From a thread that is not a core: runs body(Ctx&) on a core and waits for the outcome.
  /// failed_precondition on a core (it would wait for itself), and before start() or after stop()
  /// (it would wait for ever). cancelled: stop() was called before the outcome; body is then left
  /// suspended and never destroyed. `host`: the app of the context; App::block_on() sets it.
  template <class Body>
  auto block_on(Core& core, Body body, Host* host = nullptr)
      -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type>;

 private:
  void run_last_turns();
  Status run_blocked(Core& core, const std::shared_ptr<async_detail::BlockedCall>& call);
  bool is_own(const Core* core) const noexcept;

  struct Helpers;
  struct Watchdog;

  RuntimeConfig config_;
  std::shared_ptr<async_detail::BlockedCalls> blocked_;
  std::string size_source_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Helpers> helpers_;
  std::unique_ptr<Watchdog> watchdog_;
};

/// Runs body(Ctx&) on another core of the same Runtime and waits for its outcome. The body gets its
/// own context with this one's deadline and call facts (caller, metadata, trace, name); cancelling
/// this one cancels it there.
///   int n = co_await run_on(ctx, runtime.core(1), [](Ctx& there) { return count(there); });
template <class Body>
async_detail::RemoteOp<Body> run_on(Ctx& ctx, Core& target, Body body) {
  return async_detail::RemoteOp<Body>(ctx, target, std::move(body));
}

/// Runs fn() on a helper thread: for calls that block (a file, a database library). fn may return a
/// value, a Result or a Status; an exception becomes Errc::internal. When `ctx` is cancelled the
/// caller continues at once; fn is not run if it has not started, else its outcome is dropped: fn
/// must own everything it uses. resource_exhausted when too many wait for a helper, cancelled while
/// the runtime stops.
template <class F>
async_detail::BlockingOp<F> run_blocking(Ctx& ctx, Runtime& runtime, F fn) {
  return async_detail::BlockingOp<F>(ctx, runtime, std::move(fn));
}

template <class Body>
auto Runtime::block_on(Core& core, Body body, Host* host)
    -> Result<typename std::invoke_result_t<Body&, Ctx&>::value_type> {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;
  struct Job final : async_detail::BlockedCall {
    Job(Core& home, Body made, Host* app)
        : BlockedCall(async_detail::run_member<Runnable, &Job::begin>),
          core(home),
          host(app),
          body(std::move(made)) {}
    void begin() {
      ctx.emplace(core, Deadline::never(), host);
      root.start(*this, async_detail::task_of([this] { return body(*ctx); }));
    }
    void ended(Result<T> outcome) {
      ctx.reset();
      result.emplace(std::move(outcome));
      end();
    }
    Core& core;
    Host* const host;
    Body body;
    std::optional<Ctx> ctx;
    async_detail::Root<T, Job> root;
    std::optional<Result<T>> result;
  };
  const auto job = std::make_shared<Job>(core, std::move(body), host);
  if (Status ended = run_blocked(core, job); !ended) return ended;
  return *std::move(job->result);
}

}  // namespace m3
