// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/caller.h"

#include <string>

#include "m3/rpc/connection.h"
#include "m3/rpc/rpc_core.h"

namespace m3 {

using rpc_detail::Link;
using rpc_detail::RpcCore;

Caller::Caller(RpcCore& core) : core_(core), peers_(core.core()) {}
Caller::~Caller() = default;

Link& Caller::link_to(const Instance& instance) {
  auto& link = peers_[instance.slot].link;
  if (!link) link = std::make_shared<Link>(core_, instance.shared_from_this());
  return *link;
}

Pick Caller::pick(const ServiceId& service, RouteMode mode, std::string_view key,
                  std::uint32_t avoid) {
  Pick found = core_.shared().resolver.pick(RouteQuery{service, mode, key, avoid, peers_});
  if (const Instance* out = peers_.take_to_dial()) link_to(*out).probe();
  return found;
}

void Caller::forget(const Instance& instance) {
  Peers::State& state = peers_[instance.slot];
  const auto link = std::exchange(state.link, nullptr);
  if (link) link->let_go();
  const std::uint32_t in_flight = state.in_flight;  // they still count themselves out
  state = Peers::State();
  state.in_flight = in_flight;
}

void Caller::close(const Status& why) {
  for (Peers::State& state : peers_.states())
    if (const auto link = state.link) link->close(why);
}

void Caller::note(const Instance& instance, const Status& outcome) {
  Peers::State& state = peers_[instance.slot];
  switch (outcome.code()) {
    case Errc::unavailable:
    case Errc::deadline_exceeded:
    case Errc::internal:
    case Errc::data_loss:
    case Errc::unknown:
      break;
    default:
      state.failures = 0;
      return;
  }
  const RpcConfig& config = core_.config();
  if (++state.failures < config.eject_after) return;
  state.failures = 0;
  if (!core_.shared().resolver.may_eject(instance, peers_)) return;
  state.ejected_until = core_.core().now() + config.eject_for;
  core_.metrics().ejected.inc();
}

bool Caller::take_retry() noexcept {
  if (retries_ < 1) {
    core_.metrics().retries_denied.inc();
    return false;
  }
  retries_ -= 1;
  return true;
}

/// Waits for the connection to one instance.
class ReachOp final : public async_detail::CtxOp, rpc_detail::LinkWaiter {
 public:
  using value_type = std::uint64_t;
  ReachOp(Ctx& ctx, Link& link) : CtxOp(ctx), link_(link.shared_from_this()) {}
  ReachOp(ReachOp&& other) noexcept : CtxOp(other.ctx()), link_(other.link_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused() || link_->ready()) return true;
    error() = link_->wait(*this);
    if (!error().is_ok()) return true;
    suspend(waiter);
    return false;
  }
  std::uint64_t take() const {
    const auto* connection = link_->ready();
    return connection ? connection->peer().generation : 0;
  }

 private:
  void on_link_ready() override { finish_later(); }
  void on_link_failed(const Status& why) override { finish_later(why); }
  void detach() noexcept override { link_->leave(*this); }
  const std::shared_ptr<Link> link_;
};

Task<std::uint64_t> Caller::reach(Ctx& ctx, std::shared_ptr<const Instance> instance) {
  co_return co_await ReachOp(ctx, link_to(*instance));
}

Task<> Caller::notify(Ctx& ctx, ServiceId service, const MethodInfo& method,
                      const google::protobuf::MessageLite& request, NotifyRoute route) {
  const RouteMode mode = route.mode() == RouteMode::none ? method.route : route.mode();
  if (mode == RouteMode::multicast)
    co_return Status(
        Errc::failed_precondition,
        "topics need a broker, and this app has none: call the instances with m3::to::all()")
        .not_executed();
  if (mode != RouteMode::broadcast) {
    co_await CallOp(*this, ctx, service, method, request, nullptr, std::move(route));
    co_return ok;
  }
  const auto instances = core_.shared().resolver.all(core_.core(), service);
  if (instances.empty())
    co_return Status(Errc::unavailable,
                     "no instance of " + service.to_string() + " to broadcast to")
        .not_executed();
  Status first;
  for (const auto& instance : instances) {
    auto sent = co_await as_result(
        CallOp(*this, ctx, service, method, request, nullptr, to::app(instance->id)));
    if (!sent.is_ok() && first.is_ok()) first = std::move(sent).status();
  }
  co_return first;
}

}  // namespace m3
