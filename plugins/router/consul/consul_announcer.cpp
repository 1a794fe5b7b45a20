// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_announcer.h"

#include <algorithm>
#include <utility>

#include "m3/async/timer.h"
#include "m3/obs/log.h"
#include "plugins/router/consul/consul_retry.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

/// So that a wiped agent lists this app again within seconds.
constexpr Nanos kLookAtMost = 3s;
constexpr Nanos kTidyEvery = 10s;
constexpr Nanos kListWait = 1s;

Reconciler::Options options() {
  Reconciler::Options out;
  out.name = "router.consul";
  out.answer_limit = Nanos::max();  // each request has its own limit
  out.reconnect = kConsulBackoff;
  out.wishes.lasting = true;
  out.wishes.failed = kConsulBackoff;
  return out;
}

/// The instance in the list with that id that `wanted` accepts.
template <class Wanted>
std::optional<Member> find(const ConsulServices& list, const AppId& id, Wanted wanted) {
  for (const ConsulService& service : list.services) {
    if (service.id != id.to_string()) continue;
    auto member = consul_member(service);
    if (member.is_ok() && wanted(service, *member)) return *std::move(member);
  }
  return std::nullopt;
}

/// An operator's maintenance mode hides the registered state.
bool same(const ConsulService& service, const Member& seen, Member said) {
  if (service.maintenance) said.state = seen.state;
  return seen == said;
}

/// Otherwise wait_until_seen() would never find it.
Status can_be_said(const Member& self, const ConsulCheckTimes& times) {
  auto back = parse_consul_service(consul_registration_json(consul_registration(self, times)));
  auto read = back.is_ok() ? consul_member(*back) : Result<Member>(std::move(back).status());
  if (read.is_ok() && *read == self) return ok;
  return Status(
      Errc::invalid_argument,
      "Consul cannot hold " + self.id.to_string() + ": " +
          (read.is_ok() ? "version, lane and placement must be UTF-8" : read.status().text()));
}

bool is_over(const Ctx& ctx) { return ctx.cancelled() || ctx.remaining() <= Nanos(0); }

}  // namespace

/// Releases the turn.
class ConsulAnnouncer::Busy {
 public:
  explicit Busy(Channel<char>& turn) : turn_(turn) {}
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { (void)turn_.try_send(1).is_ok(); }  // there is room: it was taken out

 private:
  Channel<char>& turn_;
};

ConsulAnnouncer::ConsulAnnouncer(Core& core, ConsulClient& client, ConsulCheckTimes times,
                                 Nanos withdraw_limit, MetricRegistry& metrics)
    : core_(core),
      client_(client),
      times_(times),
      withdraw_limit_(withdraw_limit),
      again_(metrics.counter("m3_router_registered_again_total",
                             "Times Consul had lost this app and it was registered again")),
      reconciler_(core, *this, options()) {
  (void)turn_.try_send(1).is_ok();  // empty and open
  (void)announcing_.try_send(1).is_ok();
}

ConsulAnnouncer::~ConsulAnnouncer() = default;

// ---- announce

Task<> ConsulAnnouncer::announce(Ctx& ctx, Member self) {
  if (Status good = can_be_said(self, times_); !good) co_return good;
  co_await announcing_.receive(ctx);
  const Busy busy(announcing_);
  const std::string key = self.id.to_string();
  const auto before = std::exchange(wanted_, self);
  const bool first = !said_;
  said_ = self;
  reconciler_.renew(key);
  Status said = (co_await as_result(say(ctx, self, first))).status();
  if (said || wanted_ != self) co_return said;
  wanted_ = before;  // the previous announcement stays valid
  version_ = 0;
  before ? reconciler_.renew(key) : reconciler_.drop(key);
  co_return said;
}

/// Until it is seen, as long as Consul is only unavailable. `first`: the first one of this process.
/// Consul gives its check the state of the previous one, which may be critical: then it starts
/// over.
Task<> ConsulAnnouncer::say(Ctx& ctx, Member self, bool first) {
  Backoff backoff(kConsulBackoff);
  for (bool told = false;;) {
    Status status = (co_await as_result(settle(ctx, self))).status();
    if (status) {
      const auto critical = co_await as_result(wait_until_seen(ctx, self));
      status = critical.status();
      if (status && *critical && std::exchange(first, false)) {
        {
          co_await turn_.receive(ctx);
          const Busy busy(turn_);
          (void)co_await as_result(remove(ctx, self));
        }
        reconciler_.renew(self.id.to_string());
        continue;
      }
    }
    if (status) co_return ok;
    if (is_over(ctx) || !may_pass(status.code())) co_return status;
    if (!std::exchange(told, true))
      log::warn_limited("router.consul: not registered yet: {}", status.text());
    auto slept = co_await as_result(sleep(ctx, backoff.next(core_.random()())));
    if (!slept.is_ok()) co_return status;
  }
}

/// Until an agent has it, or refuses it.
Task<> ConsulAnnouncer::settle(Ctx& ctx, const Member& self) {
  const std::string key = self.id.to_string();
  Status status = (co_await as_result(reconciler_.settled(ctx, key))).status();
  // The reason is more useful than the timeout.
  if (!status && is_over(ctx) && !reconciler_.wishes().error(key).is_ok())
    co_return reconciler_.wishes().error(key);
  co_return status;
}

Task<> ConsulAnnouncer::send(Ctx& ctx, std::vector<Reconciler::Order> orders) {
  for (const Reconciler::Order& order : orders) {
    co_await turn_.receive(ctx);
    const Busy busy(turn_);
    Status status;
    if (order.establish)
      status = (co_await as_result(establish(ctx, order.version))).status();
    else if (said_)
      status = (co_await as_result(remove(ctx, *said_))).status();
    if (ctx.cancelled()) co_return status;
    reconciler_.answered(order.number, consul_away(std::move(status)));
  }
  co_return ok;
}

/// A new instance is registered; a registered one is checked.
Task<> ConsulAnnouncer::establish(Ctx& ctx, std::uint64_t version) {
  if (!wanted_) co_return ok;  // withdrawn meanwhile
  if (version == version_) {
    co_await look_after(ctx, *wanted_);
    co_return ok;
  }
  co_await put(ctx, std::nullopt, *wanted_);
  version_ = version;
  co_return ok;
}

Task<> ConsulAnnouncer::put(Ctx& ctx, std::optional<std::size_t> agent, const Member& self) {
  const ConsulRegistration registration = consul_registration(self, times_);
  ConsulRequest request("PUT", "/v1/agent/service/register?replace-existing-checks=true",
                        consul_registration_json(registration));
  auto answer = co_await as_result(agent ? client_.send_to(ctx, *agent, std::move(request))
                                         : client_.send(ctx, std::move(request)));
  if (answer.is_ok()) {
    told_.insert(answer->agent);
    co_return ok;
  }
  Status status = std::move(answer).status();
  // It is unknown which agent has it, if any: none is left out later.
  if (status.maybe_executed())
    for (std::size_t i = 0; i < client_.agents(); ++i) told_.insert(i);
  if (status == Errc::permission_denied)
    co_return Status(
        Errc::permission_denied,
        status.text() + " (the token needs service:write for " + registration.name + ")");
  co_return status;
}

Task<ConsulResponse> ConsulAnnouncer::list(Ctx& ctx, const Member& self, std::uint64_t index) {
  // Not the thousands of other instances.
  const std::string filter = "Service.ID == \"" + self.id.to_string() + "\"";
  ConsulRequest request("GET", "/v1/health/service/" + consul_name(self.id.service_id()) +
                                   "?filter=" + consul_escape(filter));
  request.index = index;
  request.wait = kListWait;
  return client_.send(ctx, std::move(request));
}

/// True: with a check that is critical, and no maintenance mode that an operator wants kept.
Task<bool> ConsulAnnouncer::wait_until_seen(Ctx& ctx, const Member& self) {
  std::uint64_t index = 0;
  for (int round = 0;; ++round) {
    if (wanted_ != self) co_return Status(Errc::cancelled, self.id.to_string() + " is withdrawn");
    auto answer = co_await as_result(list(ctx, self, index));
    if (!answer.is_ok()) {
      Status status = std::move(answer).status();
      if (round > 0 && is_over(ctx))
        co_return Status(
            status.code(),
            self.id.to_string() + " is registered, but " + consul_name(self.id.service_id()) +
                " does not list it: has the token service:read for it, and node:read?");
      co_return status;
    }
    auto seen = parse_consul_health(answer->body);
    if (!seen.is_ok()) co_return std::move(seen).status();
    bool critical = false;
    if (find(*seen, self.id, [&](const ConsulService& service, const Member& member) {
          critical = service.health == ConsulService::Health::critical && !service.maintenance;
          return same(service, member, self);
        }))
      co_return critical;
    const auto later = find(*seen, self.id, [&](auto&, const Member& member) {
      return member.generation > self.generation;
    });
    const bool ours = find(*seen, self.id, [&](auto&, const Member& member) {
                        return member.generation == self.generation;
                      }).has_value();
    if (later && !ours)
      co_return Status(Errc::already_exists,
                       self.id.to_string() + " was started again at " + later->address.to_string());
    index = next_consul_index(index, answer->index);
  }
}

// ---- withdraw

/// With its own limit: an app that stops at once still deregisters.
Task<> ConsulAnnouncer::withdraw() {
  if (!said_) co_return ok;
  wanted_.reset();
  reconciler_.drop(said_->id.to_string());
  Ctx ctx(core_, Deadline(core_.read_clock() + withdraw_limit_));
  co_await turn_.receive(ctx);
  const Busy busy(turn_);
  const Member self = *said_;
  version_ = 0;
  // From now on the Reconciler removes whatever could not be removed here.
  if ((co_await as_result(remove(ctx, self))).is_ok()) said_.reset();
  co_await wait_until_gone(ctx, self);
  co_return ok;
}

/// From every agent that may have it; returns the first error, and keeps those agents in the list.
Task<> ConsulAnnouncer::remove(Ctx& ctx, const Member& self) {
  Status first;
  for (const std::size_t agent : std::set(told_)) {
    Status removed = (co_await as_result(remove(ctx, agent, self))).status();
    if (removed) {
      told_.erase(agent);
      continue;
    }
    log::warn_limited("router.consul: not deregistered: {}", removed.text());
    if (first.is_ok()) first = std::move(removed);
  }
  co_return first;
}

/// Unless another instance has taken the id.
Task<> ConsulAnnouncer::remove(Ctx& ctx, std::size_t agent, const Member& self) {
  const std::string id = self.id.to_string();
  const ConsulResponse there =
      co_await client_.send_to(ctx, agent, ConsulRequest("GET", "/v1/agent/service/" + id));
  if (!there.found()) co_return ok;
  auto service = parse_consul_service(there.body);
  if (!service.is_ok()) co_return std::move(service).status();
  auto member = consul_member(*service);
  if (member.is_ok() && member->generation != self.generation) co_return ok;
  co_await client_.send_to(ctx, agent, ConsulRequest("PUT", "/v1/agent/service/deregister/" + id));
  co_return ok;
}

Task<> ConsulAnnouncer::wait_until_gone(Ctx& ctx, const Member& self) {
  for (std::uint64_t index = 0;;) {
    const ConsulResponse answer = co_await list(ctx, self, index);
    auto seen = parse_consul_health(answer.body);
    if (!seen.is_ok()) co_return std::move(seen).status();
    if (!find(*seen, self.id, [&](const ConsulService& service, const Member& member) {
          return member.generation == self.generation &&
                 service.health != ConsulService::Health::critical;
        }))
      co_return ok;
    index = next_consul_index(index, answer.index);
  }
}

// ---- and between them

Task<> ConsulAnnouncer::watch(Ctx& ctx) {
  const Nanos every = std::min<Nanos>(times_.interval, kLookAtMost);
  for (;;) {
    co_await sleep(ctx, every);
    co_await look(ctx);
  }
}

Task<> ConsulAnnouncer::look(Ctx& ctx) {
  co_await turn_.receive(ctx);
  const Busy busy(turn_);
  const bool registered =
      wanted_ && reconciler_.wishes().state(wanted_->id.to_string()) == Wishes::State::confirmed;
  if (registered)
    co_await look_after(ctx, *wanted_);
  else
    co_await ask_leader(ctx);
  co_return ok;
}

/// A silent agent is detected here, and its blocking queries are ended.
Task<> ConsulAnnouncer::ask_leader(Ctx& ctx) {
  co_await client_.send(ctx, ConsulRequest("GET", "/v1/status/leader"));
  co_return ok;
}

Task<> ConsulAnnouncer::look_after(Ctx& ctx, Member self) {
  const ConsulResponse answer =
      co_await client_.send(ctx, ConsulRequest("GET", "/v1/agent/service/" + self.id.to_string()));
  bool there = false;
  if (answer.found()) {
    auto service = parse_consul_service(answer.body);
    if (!service.is_ok()) co_return std::move(service).status();
    auto member = consul_member(*service);
    there = member.is_ok() && *member == self;
    if (member.is_ok() && member->generation > self.generation) {
      if (!std::exchange(replaced_, true))
        log::error_limited(
            "router.consul: {} was started again at {}: this instance is no longer listed. Stop "
            "one of them",
            self.id.to_string(), member->address.to_string());
      co_return ok;
    }
  }
  if (!there) {
    co_await put(ctx, answer.agent, self);
    again_.inc();
    log::warn_limited("router.consul: {} is registered again at {}, which had {}",
                      self.id.to_string(), client_.address(answer.agent).to_string(),
                      answer.found() ? "something else" : "forgotten it");
  }
  replaced_ = false;
  if (self.admin_port == 0) {
    co_await pass(ctx, answer.agent, self);
  }
  co_await tidy(ctx, answer.agent, self);
  co_return ok;
}

/// The heartbeat. The text is always the same: a different one would wake all watchers.
Task<> ConsulAnnouncer::pass(Ctx& ctx, std::size_t agent, const Member& self) {
  const ConsulRequest request("PUT",
                              "/v1/agent/check/pass/" + consul_escape(consul_check_id(self.id)));
  auto passed = co_await as_result(client_.send_to(ctx, agent, request));
  if (passed.is_ok() && passed->found()) co_return ok;
  // Either the check is gone (re-register) or no agent answers.
  co_await put(ctx, agent, self);
  again_.inc();
  co_return ok;
}

/// Deregisters from agents that were abandoned and came back with the old entry.
Task<> ConsulAnnouncer::tidy(Ctx& ctx, std::size_t agent, const Member& self) {
  if (told_.size() < 2 || core_.now() < tidied_ + kTidyEvery) co_return ok;
  tidied_ = core_.now();
  for (const std::size_t other : std::set(told_)) {
    if (other == agent) continue;
    if ((co_await as_result(remove(ctx, other, self))).is_ok()) told_.erase(other);
  }
  co_return ok;
}

}  // namespace m3
