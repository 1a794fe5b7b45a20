// SPDX-License-Identifier: BSL-1.0
#include "m3/async/scope.h"

#include <cassert>
#include <memory>

#include "m3/obs/log.h"

namespace m3 {

struct Scope::Job : async_detail::Pooled {
  Job(Scope& owner, const char* job_name, Task<> made)
      : scope(owner), name(job_name), task(std::move(made)) {}

  static std::coroutine_handle<> on_done(void* arg) {
    std::unique_ptr<Job> self(static_cast<Job*>(arg));
    Status status = self->task.frame().promise().take_result().status();
    self->task = Task<>();
    self->scope.ended(*self, std::move(status));
    return std::noop_coroutine();
  }

  Scope& scope;
  const char* name;
  Task<> task;
};

Scope::~Scope() { assert(jobs_.count() == 0 && "a Scope died before close()"); }

void Scope::spawn(const char* name, Task<> task) {
  if (closing_ || !task.valid()) return;
  auto job = std::make_unique<Job>(*this, name, std::move(task));
  jobs_.add();
  ctx_.core().set_task_name(name);
  auto frame = job->task.frame();
  Job* self = job.release();
  if (async_detail::start_root(frame, frame.promise(), &Job::on_done, self)) Job::on_done(self);
}

void Scope::ended(Job& job, Status status) {
  if (!status.is_ok() && !(closing_ && ctx_.cancelled()))
    log::warn_limited("task \"{}\" failed: {}", job.name, status.to_string());
  jobs_.done();
}

Task<> Scope::close(Ctx& ctx) {
  closing_ = true;
  ctx_.cancel(CancelReason::shutdown);
  co_await jobs_.zero(ctx);
  co_return ok;
}

Task<> Scope::drain(Ctx& ctx) {
  co_await jobs_.zero(ctx);
  co_return ok;
}

}  // namespace m3
