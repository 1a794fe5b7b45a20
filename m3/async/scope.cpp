// SPDX-License-Identifier: BSL-1.0
#include "m3/async/scope.h"

#include <memory>
#include <string>

#include "m3/obs/log.h"

namespace m3 {

void Scope::Job::ended(Result<void> result) {
  const std::unique_ptr<Job> self(this);
  Scope& owner = scope;
  const Status status = std::move(result).status();
  if (!status.is_ok() && !(owner.closing_ && owner.ctx_.cancelled()))
    log::warn_limited("task \"{}\" failed: {}", ctx.name(), status.to_string());
  owner.running_.remove(*this);
  owner.jobs_.done();
}

Scope::~Scope() {
  if (running_.empty()) [[likely]]
    return;
  async_detail::end_process("a Scope was destroyed with " + std::to_string(size()) +
                            " tasks in it, the first is \"" + running_.front()->ctx.name() +
                            "\": co_await scope.close(ctx) first");
}

void Scope::run(Job& job, Task<> task) {
  jobs_.add();
  running_.push(job);
  ctx_.core().set_task_name(job.ctx.name());
  job.root.start(job, std::move(task));
}

Task<> Scope::close(Ctx& ctx) {
  if (!home_.here()) co_return home_.refusal(kWhat);
  closing_ = true;
  ctx_.cancel(CancelReason::shutdown);
  co_await jobs_.zero(ctx);
  co_return ok;
}

Task<> Scope::drain(Ctx& ctx) {
  if (!home_.here()) co_return home_.refusal(kWhat);
  co_await jobs_.zero(ctx);
  co_return ok;
}

}  // namespace m3
