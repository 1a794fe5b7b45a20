// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/caller.h"

#include <chrono>
#include <string>

#include "m3/async/when.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"
#include "m3/rpc/broadcaster.h"
#include "m3/rpc/call.h"
#include "m3/rpc/detail/call_frame.h"
#include "m3/rpc/detail/client_connection.h"
#include "m3/rpc/detail/rpc_core.h"
#include "m3/rpc/interceptor.h"

namespace m3 {

using rpc_detail::Link;
using rpc_detail::RpcCore;

Caller::Caller(RpcCore& core) : core_(core), peers_(core.core()) {}
Caller::~Caller() = default;

Link& Caller::link_to(const Instance& instance) {
  auto& link = peers_[instance.slot].link;
  if (!link) {
    link = std::make_shared<Link>(core_, instance.shared_from_this());
    if (closed_) link->close(Status(Errc::unavailable, "shutting down"));
  }
  return *link;
}

Pick Caller::pick(const RouteQuery& query) {
  Pick found = core_.shared().resolver.pick(query);
  if (const Instance* out = peers_.take_to_dial()) {
    if (out->id == core_.shared().id)
      peers_[out->slot].here = true;
    else
      link_to(*out).probe();
  }
  return found;
}

rpc_detail::ClientConnection* Caller::connection_to(const Instance& instance) {
  const auto& link = peers_[instance.slot].link;
  return link ? link->ready() : nullptr;
}

bool Caller::says_sick(const Instance& instance) {
  const auto* connection = connection_to(instance);
  return connection && connection->peer().sick;
}

void Caller::ping(const Instance& instance) {
  if (auto* connection = connection_to(instance)) connection->ping();
}

bool Caller::heard_since(const Instance& instance, TimePoint when) {
  const auto* connection = connection_to(instance);
  return connection && connection->last_heard() >= when;
}

bool Caller::answered_since(const Instance& instance, TimePoint when) {
  const auto* connection = connection_to(instance);
  return connection && connection->last_answered() >= when;
}

void Caller::forget(const Instance& instance) {
  peers_.not_to_dial(instance);
  if (const auto link = std::exchange(peers_[instance.slot].link, nullptr)) link->let_go();
  Peers::State state;
  state.in_flight = peers_.in_flight(instance);  // they still leave the counts
  peers_[instance.slot] = std::move(state);
}

void Caller::close(const Status& why) {
  closed_ = true;
  const Walk walk;
  for (Peers::State& state : peers_.states())
    if (const auto link = state.link) link->close(why);
}

namespace {

/// A peer chose the text.
std::string brief(const Status& status) {
  constexpr std::size_t kMost = 200;
  std::string text = status.to_string();
  if (text.size() <= kMost) return text;
  return std::string(text_start(text, kMost)) + "...";
}

std::string name_of(const Instance& instance) {
  return instance.id.empty() ? instance.address.to_string() : instance.id.to_string();
}

/// One line per change, not per call: an instance that was left out before has been logged.
void tell_left_out(const Instance& instance, Peers::Standing before, const std::string& why,
                   Nanos pause) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(pause).count();
  if (before == Peers::Standing::trusted)
    log::warn_limited("{} is left out: {}; retrying in {} ms", name_of(instance), why, ms);
  else
    log::debug("{} is still left out: {}; retrying in {} ms", name_of(instance), why, ms);
}

void tell_trusted(const Instance& instance) { log::info("{} answers again", name_of(instance)); }

}  // namespace

void Caller::judge(const Instance& instance, const Status& outcome, bool trial, Peers::By by) {
  Peers::State& state = peers_[instance.slot];
  if (!state.link) return;  // it is no longer listed
  const Peers::Standing before = state.standing;
  const Peers::Answer answer = Peers::answer_of(outcome, by);
  if (!peers_.answered(state, answer, trial, core_.config())) {
    if (before != state.standing) tell_trusted(instance);
    return;
  }
  if (!may_eject(instance, answer)) return;
  const Nanos pause = peers_.eject(state, answer, core_.config(), outcome.retry_after());
  if (before == Peers::Standing::trusted) core_.metrics().ejected.inc();
  tell_left_out(instance, before,
                "it answers with errors or refusals, the last one " + brief(outcome), pause);
}

/// An instance that refuses does no work that others would have to take over; one that fails may,
/// so half of the service stays. A complaint may be the application's own, and the same everywhere.
bool Caller::may_eject(const Instance& instance, Peers::Answer why) {
  if (why == Peers::Answer::refusal) return true;
  const auto all = core_.shared().resolver.eligible(core_.core(), instance.id.service_id());
  if (!peers_.half_stay_without(instance, all)) return false;
  return why != Peers::Answer::complaint || peers_.only_one_complains(instance, all);
}

Nanos Caller::broke(const Instance& instance, const Status& why) {
  Peers::State& state = peers_[instance.slot];
  if (closed_ || !state.link) return Nanos(0);
  const Peers::Standing before = state.standing;
  const Nanos pause = peers_.broke(state, core_.config());
  tell_left_out(instance, before, "the connection broke: " + brief(why), pause);
  return pause;
}

void Caller::drained(const Instance& instance) {
  Peers::State& state = peers_[instance.slot];
  if (closed_ || !state.link) return;
  const bool first = state.standing == Peers::Standing::trusted;
  peers_.drained(state, core_.config());
  if (first) log::info("{} is leaving: it gets no new calls", name_of(instance));
}

void Caller::unreachable(const Instance& instance, const Status& why, Nanos pause) {
  Peers::State& state = peers_[instance.slot];
  if (closed_ || !state.link) return;
  // Without a call it was only a probe.
  const bool was_needed = state.in_flight > 0 || state.wanted;
  const Peers::Standing before = was_needed ? state.standing : Peers::Standing::out;
  peers_.unreachable(state, pause);
  tell_left_out(instance, before, brief(why), pause);
}

void Caller::lived(const Instance& instance) {
  Peers::State& state = peers_[instance.slot];
  const Peers::Standing before = state.standing;
  peers_.lived(state);
  if (before != state.standing) tell_trusted(instance);
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
  using value_type = SelfReport;
  ReachOp(Ctx& ctx, Link& link) : CtxOp(ctx), link_(link.shared_from_this()) {}
  ReachOp(ReachOp&& other) noexcept : CtxOp(other.ctx()), link_(other.link_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused() || note_who()) return true;
    error() = link_->wait(*this);
    if (!error().is_ok()) return true;
    suspend(waiter);
    return false;
  }
  SelfReport take() const { return report_; }

 private:
  bool note_who() {
    const auto* connection = link_->ready();
    if (!connection) return false;
    const PeerInfo& peer = connection->peer();
    report_ = {peer.generation, peer.leaving, peer.sick};
    return true;
  }
  void on_link_ready() override {
    note_who();
    finish();
  }
  void on_link_failed(const Status& why) override { finish(why); }
  void detach() noexcept override { link_->leave(*this); }
  const std::shared_ptr<Link> link_;
  SelfReport report_;
};

/// Waits as long as a call would for a first instance. Fails only by its context.
class RouteOp final : public async_detail::CtxOp, RouteWaiter, async_detail::TimerNode {
 public:
  using value_type = void;
  RouteOp(Ctx& ctx, const Pick& found)
      : CtxOp(ctx),
        TimerNode(async_detail::run_member<TimerNode, &RouteOp::on_timer>),
        waiters_(found.instance ? nullptr : found.waiters),
        limit_(found.worth_waiting) {}
  RouteOp(RouteOp&& other) noexcept
      : CtxOp(other.ctx()),
        TimerNode(async_detail::run_member<TimerNode, &RouteOp::on_timer>),
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
  void on_timer() {
    RouteWaiters::remove(*this);
    finish();
  }
  void detach() noexcept override {
    RouteWaiters::remove(*this);
    TimerNode::cancel();
  }
  RouteWaiters* const waiters_;
  const Nanos limit_;
};

Task<SelfReport> Caller::reach(Ctx& ctx, std::shared_ptr<const Instance> instance) {
  co_return co_await ReachOp(ctx, link_to(*instance));
}

Task<> Caller::notify(Ctx& ctx, ServiceId service, const MethodInfo& method,
                      const google::protobuf::MessageLite& request, NotifyRoute route) {
  const RouteMode mode = route.mode() == RouteMode::none ? method.route : route.mode();
  if (mode != RouteMode::broadcast && mode != RouteMode::multicast) {
    co_await Call(*this, ctx, service, method, request, nullptr, std::move(route));
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
  rpc_detail::Chain chain(core_.shared().client_interceptors.around(method), call, last);
  co_return (co_await as_result(chain.run(ctx))).status().of_callee();
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
    co_await fan_out(ctx, std::move(service), method, request);
    co_return ok;
  }
  if (!broadcaster)
    co_return Status(Errc::failed_precondition, "this program has no broker for topics")
        .not_executed();
  if (ctx.facts().hops >= kMostHops) co_return rpc_detail::circle_status(method);
  std::string frame = rpc_detail::encode_notify(ctx, method, request, route);
  Status status =
      (co_await as_result(
           to_topic ? broadcaster->to_topic(ctx, service.world_id(), route.key(), std::move(frame))
                    : broadcaster->to_all(ctx, service, std::move(frame))))
          .status();
  if (!status) co_return std::move(status).not_executed();
  co_return ok;
}

/// The instances that a broadcast did not reach.
struct Caller::Missed {
  void note(Status why) {
    executed |= why.maybe_executed();
    if (count++ == 0) first = std::move(why);
  }
  /// A broadcast that reached some instances must not look like one that reached none.
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
    co_await RouteOp(ctx, pick({service, RouteMode::random, "", kNoSlot, peers_}));
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
  auto sent =
      co_await as_result(CallOp(*this, ctx, service, method, request, nullptr, to::app(instance)));
  if (!sent.is_ok()) missed.note(std::move(sent).status());
  co_return ok;
}

}  // namespace m3
