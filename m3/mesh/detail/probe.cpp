// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/probe.h"

#include "m3/async/timer.h"
#include "m3/rpc/node.h"

namespace m3::mesh_detail {
namespace {

/// How long a probed instance has to report that it is leaving.
constexpr Nanos kSayGoodbye = std::chrono::milliseconds(100);

}  // namespace

Task<Membership::Answer> Probe::ask(Ctx& ctx, std::shared_ptr<const Instance> instance) {
  Caller& caller = node_->caller();
  const TimePoint asked = ctx.core().now();
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + timeout_));
  auto report = co_await as_result(caller.reach(soon, instance));
  if (!report.is_ok() || report->leaving) co_return Membership::Answer::silent;
  if (instance->generation && report->generation != instance->generation)
    co_return Membership::Answer::silent;
  // An existing connection proves nothing, nor do earlier reports.
  do {
    caller.ping(*instance);
    auto slept = co_await as_result(sleep(soon, kSayGoodbye));
    if (caller.peers().is_out(*instance)) co_return Membership::Answer::silent;
    if (slept.is_ok()) continue;
    if (!caller.heard_since(*instance, asked)) co_return Membership::Answer::silent;
    break;  // its pong is delayed behind other data: its last report stays valid
  } while (!caller.answered_since(*instance, asked));
  co_return caller.says_sick(*instance) ? Membership::Answer::sick : Membership::Answer::well;
}

Task<SelfReport> Probe::report_from(Ctx& ctx, Member member) {
  const auto instance = make_instance(member, slots_);
  Caller& caller = node_->caller();
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + timeout_));
  auto report = co_await as_result(caller.reach(soon, instance));
  caller.forget(*instance);
  co_return report;
}

}  // namespace m3::mesh_detail
