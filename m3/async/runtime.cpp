// SPDX-License-Identifier: BSL-1.0
#include "m3/async/runtime.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <deque>
#include <random>
#include <string>

#include "m3/async/core_bound.h"
#include "m3/async/detail/cpu_budget.h"
#include "m3/async/detail/frame_pool.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

void bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set))
    log::warn("cannot bind a core to CPU {}: error {}", cpu, error);
}

std::uint64_t system_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace

/// A few threads that take jobs in order.
struct Runtime::Helpers {
  Helpers(unsigned count, std::size_t waiting)
      : limit(count ? count : 1), most_waiting(waiting ? waiting : 1) {}
  ~Helpers() { stop(); }

  Status submit(std::function<void()> job) {
    std::lock_guard lock(mutex);
    if (stopping)
      return Status(Errc::cancelled, "blocking functions no longer run: the runtime is stopping");
    if (jobs.size() >= most_waiting)
      return Status(Errc::resource_exhausted,
                    "too many blocking functions wait for a helper thread: blocking_threads = N "
                    "makes more of them");
    jobs.push_back(std::move(job));
    // An idle helper that was called for an earlier job has not taken it yet.
    if (jobs.size() > idle && threads.size() < limit) threads.emplace_back([this] { work(); });
    changed.notify_one();
    return ok;
  }
  /// Waiting jobs are still run; no more are accepted.
  void stop() {
    std::vector<std::thread> all;
    {
      std::lock_guard lock(mutex);
      stopping = true;
      all.swap(threads);
    }
    changed.notify_all();
    for (std::thread& thread : all) thread.join();
  }
  void work() {
    pthread_setname_np(pthread_self(), "m3-helper");
    async_detail::on_helper_thread = true;
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle;
      changed.wait(lock, [&] { return stopping || !jobs.empty(); });
      --idle;
      if (jobs.empty()) return;
      auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // its captures are destroyed outside the lock
      lock.lock();
    }
  }

  const unsigned limit;
  const std::size_t most_waiting;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  std::vector<std::thread> threads;
  unsigned idle = 0;
  bool stopping = false;
};

/// Watches the cores from another thread and names the task that blocks one of them.
struct Runtime::Watchdog {
  Watchdog(const std::vector<std::unique_ptr<Core>>& watched, Nanos limit)
      : cores(watched), warn_after(limit), reported(watched.size(), 0), thread([this] { run(); }) {}
  ~Watchdog() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
  }
  void run() {
    pthread_setname_np(pthread_self(), "m3-watchdog");
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, warn_after / 2, [&] { return stopping; })) look();
  }
  void look() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    for (std::size_t i = 0; i < cores.size(); ++i) {
      const std::int64_t began = cores[i]->turn_started_ns();
      if (began == 0 || began == reported[i] || now - Nanos(began) < warn_after) continue;
      reported[i] = began;
      const char* name = cores[i]->task_name();
      log::warn_limited(
          "core {} has been busy for {} ms in {}: nothing else can run there", i,
          std::chrono::duration_cast<std::chrono::milliseconds>(now - Nanos(began)).count(),
          *name ? name : "work without a name");
    }
  }

  const std::vector<std::unique_ptr<Core>>& cores;
  const Nanos warn_after;
  std::vector<std::int64_t> reported;
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread thread;
};

Runtime::Runtime(RuntimeConfig config) : Runtime(config, system_clock()) {}

Runtime::Runtime(RuntimeConfig config, const Clock& clock)
    : config_(config),
      blocked_(std::make_shared<async_detail::BlockedCalls>()),
      helpers_(std::make_unique<Helpers>(config.blocking_threads, config.blocking_waiting)) {
  const async_detail::CpuBudget budget =
      config.cores ? async_detail::CpuBudget{config.cores, "configured"}
                   : async_detail::own_cpu_budget(static_cast<unsigned>(usable_cpus().size()));
  size_source_ = budget.source;
  const std::uint64_t seed = config.seed ? config.seed : system_seed();
  std::vector<Core*> all;
  for (unsigned i = 0; i < budget.cores; ++i) {
    Core::Options options;
    options.index = i;
    options.seed = seed + i;
    options.spin = config.spin;
    cores_.push_back(std::make_unique<Core>(options, clock));
    all.push_back(cores_.back().get());
  }
  for (auto& core : cores_) core->set_siblings(all);
}

Runtime::~Runtime() { stop(); }

void Runtime::start() {
  blocked_->open();
  const std::vector<int> cpus = usable_cpus();
  for (auto& core : cores_) {
    threads_.emplace_back([this, &core = *core, cpus] {
      pthread_setname_np(pthread_self(), ("m3-core-" + std::to_string(core.index())).c_str());
      if (config_.pin) bind_to(cpus[core.index() % cpus.size()]);
      core.run();
    });
  }
  if (config_.stall_warning > Nanos(0))
    watchdog_ = std::make_unique<Watchdog>(cores_, config_.stall_warning);
}

void Runtime::stop() {
  blocked_->close();
  watchdog_.reset();
  helpers_->stop();  // their last results still reach the cores' inboxes
  for (auto& core : cores_) core->stop();
  for (std::thread& thread : threads_) thread.join();
  if (!threads_.empty()) run_last_turns();
  threads_.clear();
  blocked_->give_up();
}

/// A message may be the only owner of its record, and each may cause another.
void Runtime::run_last_turns() {
  bool more = true;
  for (int turns = 0; more && turns < Core::kMostLastTurns; ++turns) {
    more = false;
    for (auto& core : cores_) more = core->last_turn() || more;
  }
  async_detail::FramePool::drain();
}

bool Runtime::is_own(const Core* core) const noexcept {
  for (const auto& own : cores_)
    if (own.get() == core) return true;
  return false;
}

Status Runtime::run_blocked(Core& core, const std::shared_ptr<async_detail::BlockedCall>& call) {
  if (is_own(Core::try_current()))
    return Status(Errc::failed_precondition,
                  "block_on was called on a core, which would wait for itself: in a coroutine use "
                  "co_await m3::run_on(ctx, core, body)");
  const auto calls = blocked_;  // *this may be destroyed when it returns
  return calls->run(core, call);
}

Status async_detail::submit_blocking(Runtime& runtime, std::function<void()> job) {
  return runtime.submit_blocking(std::move(job));
}

Status Runtime::submit_blocking(std::function<void()> job) {
  return helpers_->submit(std::move(job));
}

}  // namespace m3
