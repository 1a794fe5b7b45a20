// SPDX-License-Identifier: BSL-1.0
#include "m3/admin/health_probe.h"

#include <utility>

#include "m3/async/countdown.h"

namespace m3 {

/// One run of the hooks. Kept alive by the callers that wait for it.
struct HealthProbe::Round {
  explicit Round(TimePoint end) : until(end) {}
  const TimePoint until;
  Countdown running;
  Status outcome;
};

HealthProbe::HealthProbe(Core& core, Ask ask, Duration limit, Host* host)
    : ask_(std::move(ask)), limit_(limit), scope_(core, host) {}

Task<> HealthProbe::check(Ctx& ctx) {
  if (scope_.closing()) co_return Status(Errc::unavailable, "stopping");
  std::shared_ptr<Round> round = round_;
  if (!round) {
    round = std::make_shared<Round>(ctx.core().read_clock() + limit_);
    round_ = round;
    round->running.add();
    scope_.spawn("health", [this, round](Ctx& own) { return run(own, round); });
  }
  // A hook that ignores its cancellation is not waited for, and not run again meanwhile.
  Ctx patient(ctx, Deadline(round->until + std::chrono::milliseconds(50)));
  const Status waited = (co_await as_result(round->running.zero(patient))).status();
  if (waited) co_return round->outcome;
  if (ctx.cancelled() || ctx.deadline().passed(ctx.core().now())) co_return waited;
  co_return Status(Errc::deadline_exceeded, "health() has not returned within " +
                                                format_duration(limit_) +
                                                " and ignores its cancellation");
}

Task<> HealthProbe::run(Ctx& ctx, std::shared_ptr<Round> round) {
  struct Guard {
    ~Guard() {
      probe.round_.reset();
      round.running.done();
    }
    HealthProbe& probe;
    Round& round;
  } guard{*this, *round};
  Ctx own(ctx, Deadline(round->until));
  round->outcome = Status(Errc::internal, "health() threw an exception");
  round->outcome = (co_await as_result(ask_(own))).status();
  if (!round->outcome && own.deadline().passed(own.core().now()))
    round->outcome = Status(Errc::deadline_exceeded,
                            "health() has not answered within " + format_duration(limit_));
  co_return ok;
}

Task<> HealthProbe::stop(Ctx& ctx) {
  co_await scope_.close(ctx);
  co_return ok;
}

}  // namespace m3
