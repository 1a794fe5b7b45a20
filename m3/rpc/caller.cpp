// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/caller.h"

#include <string>

#include "m3/async/when.h"
#include "m3/rpc/broadcaster.h"
#include "m3/rpc/connection.h"
#include "m3/rpc/interceptor.h"
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

rpc_detail::ClientConnection* Caller::connection_to(const Instance& instance) {
  const auto& link = peers_[instance.slot].link;
  return link ? link->ready() : nullptr;
}

void Caller::ping(const Instance& instance) {
  if (auto* connection = connection_to(instance)) connection->ping();
}

bool Caller::heard_since(const Instance& instance, TimePoint when) {
  const auto* connection = connection_to(instance);
  return connection && connection->last_heard() >= when;
}

void Caller::forget(const Instance& instance) {
  if (const auto link = std::exchange(peers_[instance.slot].link, nullptr)) link->let_go();
  Peers::State state;
  state.in_flight = peers_.in_flight(instance);  // they still count themselves out
  peers_[instance.slot] = std::move(state);
}

void Caller::close(const Status& why) {
  const Walk walk;
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
    if (refused() || note_who()) return true;
    error() = link_->wait(*this);
    if (!error().is_ok()) return true;
    suspend(waiter);
    return false;
  }
  std::uint64_t take() const { return generation_; }

 private:
  /// Now: one that is leaving says good-bye right behind its hello.
  bool note_who() {
    const auto* connection = link_->ready();
    if (connection) generation_ = connection->peer().generation;
    return connection;
  }
  void on_link_ready() override {
    note_who();
    finish();
  }
  void on_link_failed(const Status& why) override { finish(why); }
  void detach() noexcept override { link_->leave(*this); }
  const std::shared_ptr<Link> link_;
  std::uint64_t generation_ = 0;
};

/// Waits as long as a call would for a first instance. Never fails but by its context.
class RouteOp final : public async_detail::CtxOp, RouteWaiter, async_detail::TimerNode {
 public:
  using value_type = void;
  RouteOp(Ctx& ctx, const Pick& found)
      : CtxOp(ctx),
        TimerNode(&RouteOp::on_timer),
        waiters_(found.instance ? nullptr : found.waiters),
        limit_(found.worth_waiting) {}
  RouteOp(RouteOp&& other) noexcept
      : CtxOp(other.ctx()),
        TimerNode(&RouteOp::on_timer),
        waiters_(other.waiters_),
        limit_(other.limit_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused() || !waiters_ || limit_ <= Nanos(0)) return true;
    waiters_->add(*this);
    ctx().core().timers().add(*this, ctx().core().read_clock() + limit_);
    suspend(waiter);
    return false;
  }
  void take() const noexcept {}

 private:
  void on_route_change() override {
    TimerNode::cancel();
    finish();
  }
  static void on_timer(async_detail::TimerNode& node) {
    auto& self = static_cast<RouteOp&>(node);
    RouteWaiters::remove(self);
    self.finish();
  }
  void detach() noexcept override {
    RouteWaiters::remove(*this);
    TimerNode::cancel();
  }
  RouteWaiters* const waiters_;
  const Nanos limit_;
};

Task<std::uint64_t> Caller::reach(Ctx& ctx, std::shared_ptr<const Instance> instance) {
  co_return co_await ReachOp(ctx, link_to(*instance));
}

Task<> Caller::notify(Ctx& ctx, ServiceId service, const MethodInfo& method,
                      const google::protobuf::MessageLite& request, NotifyRoute route) {
  const RouteMode mode = route.mode() == RouteMode::none ? method.route : route.mode();
  if (mode != RouteMode::broadcast && mode != RouteMode::multicast) {
    co_await CallOp(*this, ctx, service, method, request, nullptr, std::move(route));
    co_return ok;
  }
  struct Last final : Interceptor::Next {
    Last(Caller& owner, const ServiceId& to, const InterceptedCall& what, Route how)
        : caller(owner), service(to), call(what), route(std::move(how)) {}
    Task<> operator()(Ctx& inner) override {
      return caller.notify_many(inner, service, call.method, call.request, route);
    }
    Caller& caller;
    const ServiceId& service;
    const InterceptedCall& call;
    const Route route;
  };
  InterceptedCall call{method, request, nullptr, service.to_string()};
  Last last(*this, service, call, Route(mode, route.key()));
  rpc_detail::Chain chain(core_.shared().client_interceptors, call, last);
  co_await chain.run(ctx);
  co_return ok;
}

Task<> Caller::notify_many(Ctx& ctx, ServiceId service, const MethodInfo& method,
                           const google::protobuf::MessageLite& request, Route route) {
  if (service.empty())
    co_return Status(Errc::invalid_argument,
                     "the client's world or func cannot be part of an app id")
        .not_executed();
  Broadcaster* broadcaster = core_.shared().host->broadcaster();
  const bool to_topic = route.mode() == RouteMode::multicast;
  if (!to_topic && (!broadcaster || broadcaster->needs_fan_out())) {
    Task<> sent = fan_out(ctx, std::move(service), method, request);
    co_await std::move(sent);
    co_return ok;
  }
  if (!broadcaster)
    co_return Status(Errc::failed_precondition, "this program has no broker for topics")
        .not_executed();
  std::string frame = rpc_detail::encode_notify(ctx, method, request, route);
  Task<> sent = to_topic
                    ? broadcaster->to_topic(ctx, service.world_id(), route.key(), std::move(frame))
                    : broadcaster->to_all(ctx, service, std::move(frame));
  Status status = (co_await as_result(std::move(sent))).status();
  if (!status) co_return std::move(status).not_executed();
  co_return ok;
}

/// The instances that a broadcast did not reach.
struct Caller::Missed {
  void note(Status why) {
    executed |= why.maybe_executed();
    if (count++ == 0) first = std::move(why);
  }
  /// A broadcast that reached somebody must not look like one that reached nobody.
  Status status(const ServiceId& service, std::size_t of) const {
    if (count == 0) return {};
    Status all(first.code(), std::to_string(count) + " of " + std::to_string(of) +
                                 " instances of " + service.to_string() +
                                 " were not reached; the first: " + first.text());
    all = std::move(all).with_retry_after(first.retry_after());
    return count == of && !executed ? std::move(all).not_executed() : all;
  }
  std::size_t count = 0;
  bool executed = false;
  Status first;
};

Task<> Caller::fan_out(Ctx& ctx, ServiceId service, const MethodInfo& method,
                       const google::protobuf::MessageLite& request) {
  Resolver& resolver = core_.shared().resolver;
  auto instances = resolver.all(core_.core(), service);
  if (instances.empty()) {
    co_await RouteOp(ctx, pick(service, RouteMode::random, "", kNoSlot));
    instances = resolver.all(core_.core(), service);
  }
  if (instances.empty())
    co_return Status(Errc::unavailable,
                     "no instance of " + service.to_string() + " to broadcast to")
        .not_executed();
  Missed missed;
  std::vector<Task<>> sends;
  sends.reserve(instances.size());
  for (const auto& instance : instances)
    sends.push_back(send_to(ctx, service, method, request, instance->id, missed));
  co_await when_all(core_.core(), std::move(sends));
  co_return missed.status(service, instances.size());
}

Task<> Caller::send_to(Ctx& ctx, const ServiceId& service, const MethodInfo& method,
                       const google::protobuf::MessageLite& request, const AppId& instance,
                       Missed& missed) {
  auto sent = co_await as_result(
      CallOp(*this, ctx, service, method, request, nullptr, to::app(instance), false));
  if (!sent.is_ok()) missed.note(std::move(sent).status());
  co_return ok;
}

}  // namespace m3
