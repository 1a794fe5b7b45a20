// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/async/task.h"

namespace m3 {

/// Owns work that outlives a statement. Core-local; the last field of its class, so it dies first.
/// The owner awaits close() before it is destroyed: a Scope that dies with work in it is a bug
/// (asserted). A task that fails is logged with its name, unless the Scope is closing.
class Scope {
 public:
  explicit Scope(Core& core, void* host = nullptr) noexcept : ctx_(core, Deadline::never(), host) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  /// What spawned tasks run under: no deadline, cancelled (shutdown) by close().
  Ctx& ctx() noexcept { return ctx_; }
  Core& core() noexcept { return ctx_.core(); }

  /// Starts the task now, until its first suspension. `name` is static text.
  /// After close() the task is dropped without running.
  void spawn(const char* name, Task<> task);

  /// Refuses new work, cancels what runs, and waits for it to end.
  Task<> close(Ctx& ctx);
  /// Waits until nothing runs, without cancelling.
  Task<> drain(Ctx& ctx);

  bool closing() const noexcept { return closing_; }
  std::size_t size() const noexcept { return jobs_.count(); }

 private:
  struct Job;
  void ended(Job& job, Status status);

  Ctx ctx_;
  bool closing_ = false;
  Countdown jobs_;
};

}  // namespace m3
