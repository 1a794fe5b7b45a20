// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/announcement.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "m3/async/countdown.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3::app_detail {
namespace {

/// One failure may be a hiccup; this many in a row are not.
constexpr int kFailuresOfSick = 2;

}  // namespace

Announcement::Announcement(App app, Member self)
    : app_(std::move(app)), self_(std::move(self)), scope_(app_.core) {}

void Announcement::steps(Steps& steps) {
  steps.add([this](Ctx& ctx) { return announce(ctx); }, [this](Ctx& ctx) { return withdraw(ctx); });
}

Task<> Announcement::announce(Ctx& ctx) {
  co_await wait_for_health(ctx);
  if (app_.config.listen.empty()) co_return ok;
  co_await refuse_second(ctx);
  announced_ = true;  // a router keeps trying, even if this start fails now
  co_await refresh(ctx);
  scope_.spawn("health", [this](Ctx& own) { return watch_health(own); });
  co_return ok;
}

/// Callers learn it from the app itself: not every router has its own check.
Task<> Announcement::watch_health(Ctx& ctx) {
  for (int failures = 0;;) {
    co_await sleep(ctx, app_.config.admin.health_interval);
    const Status health = (co_await as_result(app_.probe.check(ctx))).status();
    if (ctx.cancelled()) co_return health;
    failures = health ? 0 : std::min(failures + 1, kFailuresOfSick);
    const bool sick = failures == kFailuresOfSick;
    if (app_.node.set_sick(sick) == sick) continue;
    sick ? log::warn_limited("reporting itself as sick: {}", health.to_string())
         : log::info_limited("healthy again");
  }
}

Task<> Announcement::wait_for_health(Ctx& ctx) {
  for (bool told = false;;) {
    const Status health = (co_await as_result(app_.probe.check(ctx))).status();
    if (health) co_return ok;
    if (!std::exchange(told, true)) log::warn_limited("not healthy yet: {}", health.to_string());
    auto slept = co_await as_result(sleep(ctx, std::chrono::milliseconds(100)));
    if (!slept.is_ok())
      co_return std::move(slept).status().add_context("not healthy: " + health.to_string());
  }
}

/// With two instances of one id, each would get half of the calls. A stale entry of a process that
/// died without deregistering is replaced.
Task<> Announcement::refuse_second(Ctx& ctx) {
  const std::vector<Member> members = co_await app_.router.members(ctx, self_.id.service_id());
  for (const Member& member : members) {
    if (member.id != self_.id || member.generation == self_.generation) continue;
    const auto other = co_await as_result(app_.mesh.report_from(ctx, member));
    if (other.is_ok() && other->generation != self_.generation)
      co_return Status(
          Errc::already_exists,
          fmt::format("{} is already running at {}: stop it, or give this one another id",
                      self_.id.to_string(), member.address.to_string()));
  }
  co_return ok;
}

Task<> Announcement::refresh(Ctx& ctx) {
  const Serial::Hold turn = co_await turn_.enter(ctx);
  if (announced_) co_await tell(ctx);
  co_return ok;
}

Task<> Announcement::tell(Ctx& ctx) {
  const HostPort bound = app_.address();
  auto where = app_.config.advertised(bound.port);
  if (!where.is_ok()) {
    if (app_.router.reaches_other_processes()) co_return std::move(where).status();
    where = HostPort{"127.0.0.1", bound.port};
  }
  self_.address = *std::move(where);
  self_.weight = app_.config.weight;
  self_.admin_port = app_.admin_port(self_.address);
  if (self_ == told_) co_return ok;
  co_await app_.router.announce(ctx, self_);
  told_ = self_;
  co_return ok;
}

Status Announcement::not_announced() const {
  return Status(Errc::failed_precondition, "not ready, or already leaving");
}

Task<MemberState> Announcement::set_state(Ctx& ctx, MemberState wanted) {
  struct Word {
    Countdown running;
    Result<MemberState> before = Status(Errc::unavailable, "stopping");
  };
  if (!announced_) co_return not_announced();
  if (wanted == MemberState::cordoned && !app_.router.tells_others())
    co_return Status(
        Errc::failed_precondition,
        "this app's router does not publish its state, so only draining keeps callers away");
  auto word = std::make_shared<Word>();
  word->running.add();
  scope_.spawn("state", [this, word, wanted](Ctx& own) -> Task<> {
    Ctx limited(own, Deadline(own.core().read_clock() + app_.config.start_timeout));
    word->before = co_await as_result(change_state(limited, wanted));
    word->running.done();
    co_return ok;
  });
  co_await word->running.zero(ctx);
  co_return std::move(word->before);
}

Task<MemberState> Announcement::change_state(Ctx& ctx, MemberState wanted) {
  const Serial::Hold turn = co_await turn_.enter(ctx);
  if (!announced_) co_return not_announced();
  const MemberState before = std::exchange(self_.state, wanted);
  if (before == wanted) co_return before;
  log::info_limited("{} (was {})", member_state_name(wanted), member_state_name(before));
  const Status told = (co_await as_result(tell(ctx))).status();
  if (!told) {
    self_.state = before;
    co_return told;
  }
  co_await (wanted == MemberState::draining ? app_.node.leave(ctx) : app_.node.come_back(ctx));
  co_return before;
}

Task<> Announcement::withdraw(Ctx& ctx) {
  const bool was_announced = std::exchange(announced_, false);
  Ctx patient(ctx.core(), Deadline::never(), ctx.host());
  co_await scope_.close(patient);  // a change in progress must not be the last one
  if (!was_announced) co_return ok;
  const Serial::Hold turn = co_await turn_.enter(patient);
  const Status withdrawn = (co_await as_result(app_.router.withdraw(ctx))).status();
  if (!withdrawn) log::warn_limited("the router still lists this app: {}", withdrawn.to_string());
  co_await app_.node.leave(patient);
  (void)co_await as_result(sleep(ctx, app_.config.drain_wait));
  co_return ok;
}

}  // namespace m3::app_detail
