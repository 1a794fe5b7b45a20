// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/async/countdown.h"
#include "m3/async/task.h"

namespace m3 {

class Host;

/// Owns work that outlives a statement. Core-local; the last field of its class, so it is destroyed
/// first. The owner awaits close() before it is destroyed: a Scope that is destroyed with work in
/// it ends the process. A task that fails is logged with its name, unless the Scope is closing.
class Scope {
 public:
  explicit Scope(Core& core, Host* host = nullptr) noexcept
      : home_(core), ctx_(core, Deadline::never(), host) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  /// The parent of the contexts of spawned tasks: no deadline, cancelled (shutdown) by close().
  Ctx& ctx() noexcept { return ctx_; }
  Core& core() noexcept { return ctx_.core(); }

  /// Starts `body(Ctx&)`, which returns a Task<>, now, until its first suspension. The Ctx is its
  /// own, a child of ctx() with that name; `body` is kept until the Task has ended, so it may be a
  /// coroutine lambda with captures. `name` is static text.
  ///   scope_.spawn("beat", [this](Ctx& ctx) { return beat(ctx); });
  /// After close() the body is dropped without running.
  template <class Body>
  void spawn(const char* name, Body body);

  /// Refuses new work, cancels running tasks, and waits for them to end.
  Task<> close(Ctx& ctx);
  /// Waits until nothing runs, without cancelling.
  Task<> drain(Ctx& ctx);

  bool closing() const noexcept { return closing_; }
  std::size_t size() const noexcept { return jobs_.count(); }

 private:
  struct Job;
  template <class Body>
  struct BodyJob;

  static constexpr const char* kWhat = "Scope";
  void run(Job& job, Task<> task);

  async_detail::CoreBound home_;
  Ctx ctx_;
  bool closing_ = false;
  Countdown jobs_;
  async_detail::OpQueue<Job> running_;
};

/// One task and everything it runs on.
struct Scope::Job : async_detail::Pooled {
  Job(Scope& owner, const char* name) noexcept : scope(owner), ctx(owner.ctx_, Deadline::never()) {
    ctx.set_name(name);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;
  /// The frames are destroyed; so are the body and *this.
  void ended(Result<void> result);

  Scope& scope;
  Ctx ctx;
  async_detail::Root<void, Job> root;
  Job* queue_prev_ = nullptr;
  Job* queue_next_ = nullptr;
};

template <class Body>
struct Scope::BodyJob final : Job {
  BodyJob(Scope& owner, const char* name, Body&& made) : Job(owner, name), body(std::move(made)) {}
  Body body;
};

template <class Body>
void Scope::spawn(const char* name, Body body) {
  if constexpr (async_detail::kIsTask<Body>) {
    static_assert(
        !async_detail::kIsTask<Body>,
        "spawn takes a function that returns the Task, not the Task: the work outlives this call's "
        "Ctx and gets its own: scope.spawn(\"name\", [this](m3::Ctx& ctx) { return "
        "work(ctx); })");
  } else if constexpr (!std::is_invocable_r_v<Task<>, Body&, Ctx&>) {
    static_assert(std::is_invocable_r_v<Task<>, Body&, Ctx&>,
                  "spawn takes a body that is called with a Ctx& and returns a Task<>: "
                  "scope.spawn(\"name\", [this](m3::Ctx& ctx) { return work(ctx); })");
  } else {
    home_.demand(kWhat);
    if (closing_) return;
    auto* job = new BodyJob<Body>(*this, name, std::move(body));
    run(*job, async_detail::task_of([job] { return job->body(job->ctx); }));
  }
}

}  // namespace m3
