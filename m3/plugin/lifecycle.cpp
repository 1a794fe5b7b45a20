// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/lifecycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "m3/async/backoff.h"
#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

/// How long a cancelled step may take to end, before it is left behind.
constexpr Nanos kCancelledMayTake = std::chrono::seconds(2);

std::string title_of(const char* verb, const Steps::Step& step) {
  return fmt::format("{} {} {}", verb, step.stage, step.name);
}

Status not_done(Duration limit, const std::string& why) {
  return Status(Errc::deadline_exceeded,
                "not finished within " + format_duration(limit) + (why.empty() ? "" : ": " + why));
}

/// The step's error, unless it only says that the deadline has passed.
std::string reason_in(const Status& status) {
  return status.text().starts_with("the deadline has passed") ? std::string() : status.text();
}

double milliseconds(Duration took) {
  return std::chrono::duration<double, std::milli>(took).count();
}

}  // namespace

/// One running body, in its own Scope, so that it can be left behind.
struct Lifecycle::Run {
  Run(Core& core, Host* host) : scope(core, host) {}

  static Task<> go(Ctx& there, Run& run, const Steps::Body& body, TimePoint until) {
    struct Guard {
      ~Guard() {
        run.own = nullptr;
        run.running.done();
      }
      Run& run;
    } guard{run};
    Ctx own(there, Deadline(until));
    run.own = &own;
    run.outcome = Status(Errc::internal, "an exception");
    Status ended = (co_await as_result(body(own))).status();
    run.outcome = std::move(ended);
    co_return ok;
  }
  /// Never destroyed, but always reachable: a body that is left behind still uses it.
  static void keep(std::shared_ptr<Run> run) {
    static std::mutex mutex;
    static auto* kept = new std::vector<std::shared_ptr<Run>>;
    std::lock_guard lock(mutex);
    kept->push_back(std::move(run));
  }

  Ctx* own = nullptr;  // while the body runs
  Status outcome;
  Countdown running;
  Scope scope;  // last
};

void Lifecycle::add(Steps::Step step) {
  auto after =
      std::upper_bound(steps_.begin(), steps_.end(), step.stage,
                       [](int stage, const Steps::Step& one) { return stage < one.stage; });
  steps_.insert(after, std::move(step));
}

void Lifecycle::add(std::vector<Steps::Step> steps) {
  for (Steps::Step& step : steps) add(std::move(step));
}

/// The body is cancelled at `until`, or when `ctx` is.
Task<> Lifecycle::run(Ctx& ctx, const Steps::Body& body, const std::string& title,
                      TimePoint until) {
  if (!body) co_return ok;
  auto run = std::make_shared<Run>(ctx.core(), ctx.host());
  run->running.add();
  run->scope.spawn("step", [run = run.get(), &body, until](Ctx& there) {
    return Run::go(there, *run, body, until);
  });
  Ctx watch(ctx, Deadline(until));
  auto ended = co_await as_result(run->running.zero(watch));
  if (!ended.is_ok()) {
    if (run->own) run->own->cancel(ctx.cancelled() ? ctx.reason() : CancelReason::deadline);
    Ctx patient(ctx.core(), Deadline(ctx.core().read_clock() + kCancelledMayTake));
    ended = co_await as_result(run->running.zero(patient));
  }
  if (ended.is_ok()) co_return std::move(run->outcome);
  log::error("{} was cancelled but does not finish: it is left behind", title);
  left_behind_.push_back(title);
  Run::keep(std::move(run));
  co_return Status(Errc::deadline_exceeded, "was cancelled but does not finish");
}

Task<> Lifecycle::begin(Ctx& ctx, const Steps::Step& step, Duration limit) {
  const std::string title = title_of("start", step);
  const TimePoint began = ctx.core().read_clock();
  const TimePoint until = began + limit;
  Backoff backoff(server_backoff());
  for (std::string why;;) {
    Status status = (co_await as_result(run(ctx, step.begin, title, until))).status();
    const Duration took = ctx.core().read_clock() - began;
    if (status) {
      if (!why.empty())
        log::info("{}: done after {:.1f} s", title, milliseconds(took) / 1000);
      else
        log::debug("{} in {:.1f} ms", title, milliseconds(took));
      co_return ok;
    }
    if (ctx.cancelled()) co_return ctx.status();
    if (status == Errc::deadline_exceeded && took >= limit)
      co_return not_done(limit, why.empty() ? reason_in(status) : why).add_context(title);
    if (status != Errc::unavailable) co_return std::move(status).add_context(title);
    if (why.empty()) log::warn("{} failed, retrying: {}", title, status.text());
    why = status.text();
    Ctx patient(ctx, Deadline(until));
    auto slept = co_await as_result(sleep(patient, backoff.next(ctx.core().random()())));
    if (ctx.cancelled()) co_return ctx.status();
    if (!slept.is_ok()) co_return not_done(limit, why).add_context(title);
  }
}

Task<> Lifecycle::start(Ctx& ctx, Duration step_limit) {
  while (next_ < steps_.size()) {
    if (ctx.cancelled()) co_return ctx.status();
    const Steps::Step& step = steps_[next_++];  // begun, whatever its outcome
    co_await begin(ctx, step, step_limit);
  }
  co_return ok;
}

Task<> Lifecycle::stop(Ctx& ctx, StopLimits limits) {
  Status first;
  const TimePoint end = ctx.core().read_clock() + limits.all;
  while (next_ > 0) {
    const Steps::Step& step = steps_[--next_];
    const std::string title = title_of("stop", step);
    const TimePoint began = ctx.core().read_clock();
    const TimePoint until = std::min(began + limits.step, end);
    const std::size_t left = left_behind_.size();
    Status status = (co_await as_result(run(ctx, step.undo, title, until))).status();
    const Duration took = ctx.core().read_clock() - began;
    if (status) {
      log::debug("{} in {:.1f} ms", title, milliseconds(took));
      continue;
    }
    const bool late = !ctx.cancelled() && status == Errc::deadline_exceeded;
    if (late && left_behind_.size() == left)
      status =
          until == end
              ? Status(Errc::deadline_exceeded,
                       "all steps together were not finished within " + format_duration(limits.all))
              : not_done(limits.step, "");
    status = std::move(status).add_context(title);
    log::error("{}", status.to_string());
    if (first) first = std::move(status);
  }
  co_return first;
}

}  // namespace m3
