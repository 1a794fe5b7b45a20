// SPDX-License-Identifier: BSL-1.0
#include "m3/app/lifecycle.h"

#include <fmt/format.h>

#include <algorithm>

#include "m3/async/core.h"
#include "m3/obs/log.h"

namespace m3 {

std::string Lifecycle::Entry::title() const { return fmt::format("{} {}", stage, name); }

void Lifecycle::add(int stage, std::string name, Step start, Step stop) {
  auto after =
      std::upper_bound(entries_.begin(), entries_.end(), stage,
                       [](int number, const Entry& entry) { return number < entry.stage; });
  entries_.insert(after, Entry{stage, std::move(name), std::move(start), std::move(stop)});
}

Task<> Lifecycle::run(Ctx& ctx, const Entry& entry, const Step& step, const char* verb,
                      Duration limit) {
  if (!step) co_return ok;
  Ctx own(ctx, Deadline(ctx.core().read_clock() + limit));
  const TimePoint began = ctx.core().now();
  Status status = (co_await as_result(step(own))).status();
  const Duration took = ctx.core().now() - began;
  const double ms = std::chrono::duration<double, std::milli>(took).count();
  if (status) {
    log::debug("{} {} in {:.1f} ms", verb, entry.title(), ms);
    co_return ok;
  }
  if (!ctx.cancelled() && status == Errc::deadline_exceeded && took >= limit)
    co_return Status(Errc::deadline_exceeded, fmt::format("{} {}: not done in {}", verb,
                                                          entry.title(), format_duration(limit)));
  co_return std::move(status).add_context(fmt::format("{} {}", verb, entry.title()));
}

Task<> Lifecycle::start(Ctx& ctx, Duration step_limit) {
  while (next_ < entries_.size()) {
    if (ctx.cancelled()) co_return ctx.status();
    co_await run(ctx, entries_[next_], entries_[next_].start, "start", step_limit);
    ++next_;
  }
  co_return ok;
}

Task<> Lifecycle::stop(Ctx& ctx, Duration step_limit) {
  Status first;
  while (next_ > 0) {
    --next_;
    Status status =
        (co_await as_result(run(ctx, entries_[next_], entries_[next_].stop, "stop", step_limit)))
            .status();
    if (status) continue;
    log::error("{}", status.to_string());
    if (first) first = std::move(status);
  }
  co_return first;
}

}  // namespace m3
