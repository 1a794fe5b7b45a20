// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_router.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "m3/async/backoff.h"
#include "m3/async/timer.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

/// A service that changes all the time costs no more than that.
constexpr Nanos kBetweenAnswers = 200ms;
/// When there are more watches than may wait at the same time, each waits only so long.
constexpr Nanos kShortWait = 1s;
/// Longer answers are read by a helper thread; these take about 0.2 ms.
constexpr std::size_t kReadHere = 16u << 10;
/// Until helper threads that had too much to do are asked again.
constexpr Nanos kHelperPause = 100ms;
constexpr BackoffConfig kBackoff{.least = 100ms, .first = 200ms, .most = 3000ms};

Status good_addresses(const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) {
    auto address = HostPort::parse(text);
    if (!address.is_ok()) return std::move(address).status();
    if (address->port == 0) return Status(Errc::invalid_argument, text + " has no port");
  }
  return ok;
}

/// It becomes a line of a request.
Status good_token(const std::string& token) {
  const bool good =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  return good ? Status() : Status(Errc::invalid_argument, "a token has no blanks in it");
}

ConsulOptions options_of(const ConsulRouter::Config& config) {
  ConsulOptions out;
  for (const std::string& text : config.addresses)
    if (auto address = HostPort::parse(text); address.is_ok())
      out.agents.push_back(*std::move(address));
  out.token = config.token;
  out.connect_timeout = config.connect_timeout;
  out.request_timeout = config.request_timeout;
  out.max_response = config.max_response.bytes;
  out.max_idle = config.max_watches;
  return out;
}

}  // namespace

void ConsulRouter::Config::describe(Schema<Config>& s) {
  s.add("addresses", &Config::addresses)
      .doc("host:port of the agents: the first that answers is used until it does not")
      .not_empty()
      .check(good_addresses);
  s.add("token", &Config::token)
      .doc("of Consul's ACL: \"${CONSUL_HTTP_TOKEN}\"; empty: none is sent")
      .secret()
      .check(good_token);
  s.add("connect_timeout", &Config::connect_timeout).doc("to reach an agent").range(10ms, 1min);
  s.add("request_timeout", &Config::request_timeout)
      .doc("until an agent has answered; a blocking query may last its wait longer")
      .range(100ms, 1min);
  s.add("wait", &Config::wait).doc("how long a query for changes waits for one").range(1s, 10min);
  s.add("max_watches", &Config::max_watches)
      .doc("queries that wait for changes at the same time, each on a connection of its own")
      .range(1, 10000);
  s.add("max_response", &Config::max_response)
      .doc("the largest answer")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("check_interval", &Config::check_interval)
      .doc("how often this app's health is checked")
      .range(500ms, 1min);
  s.add("deregister_after", &Config::deregister_after)
      .doc("Consul forgets this app when its check has failed that long")
      .range(1min, 24h);
}

/// One service and who is told of it; its query goes on until the watcher is gone.
struct ConsulRouter::Watch {
  Watch(Ctx& parent, ServiceId id, Watcher& told)
      : ctx(parent, Deadline::never()), service(std::move(id)), watcher(&told) {}
  void end() {
    watcher = nullptr;
    ctx.cancel(CancelReason::superseded);
  }
  Ctx ctx;
  const ServiceId service;
  Watcher* watcher;
};

ConsulRouter::ConsulRouter(Env& env, const Config& config)
    : runtime_(env.runtime()),
      core_(env.runtime().core(0)),
      id_(env.app_id()),
      wait_(config.wait),
      client_(core_, "router.consul", options_of(config)),
      announcer_(core_, client_, {config.check_interval, config.deregister_after},
                 config.request_timeout, env.metrics()),
      max_watches_(config.max_watches),
      slots_(config.max_watches),
      skipped_log_(1, 10min),
      skipped_(env.metrics().counter("m3_router_entries_skipped_total",
                                     "Entries of Consul's lists that are no instances of m3")),
      answers_(env.metrics().counter("m3_router_answers_total",
                                     "Lists of instances that Consul has sent")),
      scope_(core_) {}

ConsulRouter::~ConsulRouter() { assert(watches_.empty() && "a ConsulRouter died before stop()"); }

/// What the app will need later is tried here: an agent, its servers, and the token. Called again
/// while they are only away.
Task<> ConsulRouter::start(Ctx& ctx) {
  Status status =
      (co_await as_result(ask(ctx, std::make_shared<ConsulList>(id_.service_id()), 0))).status();
  if (status == Errc::resource_exhausted) status = Status(Errc::unavailable, status.text());
  if (!status) co_return std::move(status).add_context("router.consul");
  co_await announcer_.start(ctx);
  co_return ok;
}

Task<> ConsulRouter::stop(Ctx&) {
  Ctx patient(core_);
  for (const auto& [service, watch] : watches_) watch->end();
  watches_.clear();
  co_await scope_.close(patient);
  co_await announcer_.stop(patient);
  co_return ok;
}

Task<> ConsulRouter::announce(Ctx& ctx, Member self) {
  return announcer_.announce(ctx, std::move(self));
}
Task<> ConsulRouter::withdraw(Ctx&) { return announcer_.withdraw(); }

// ---- watching

void ConsulRouter::watch(const ServiceId& service, Watcher& watcher) {
  assert(!watches_.contains(service));
  auto made = std::make_shared<Watch>(scope_.ctx(), service, watcher);
  watches_[service] = made;
  scope_.spawn("consul watch", [this, made](Ctx&) { return follow(made->ctx, made); });
}

void ConsulRouter::unwatch(const ServiceId& service) {
  const auto found = watches_.find(service);
  if (found == watches_.end()) return;
  const auto watch = std::move(found->second);
  watches_.erase(found);
  watch->end();
}

Task<> ConsulRouter::follow(Ctx& ctx, std::shared_ptr<Watch> watch) {
  Backoff backoff(kBackoff);
  std::uint64_t index = 0;
  bool heard = false;
  const auto list = std::make_shared<ConsulList>(watch->service);
  for (;;) {
    auto answer = co_await as_result(wait_for_change(ctx, list, index));
    if (!watch->watcher) co_return ok;
    Nanos pause = kBetweenAnswers;
    if (answer.is_ok()) {
      backoff.reset();
      answers_.inc();
      index = next_consul_index(index, answer->index);
      if (!std::exchange(heard, true) || answer->changed)
        watch->watcher->on_members(watch->service, std::move(answer->members));
    } else {
      index = 0;
      heard = false;
      pause = backoff.next(core_.random()());
      watch->watcher->on_unreachable(watch->service, std::move(answer).status());
    }
    if (!watch->watcher) co_return ok;
    if (!(co_await as_result(sleep(ctx, pause))).is_ok()) co_return ok;
  }
}

Task<ConsulRouter::Answer> ConsulRouter::wait_for_change(Ctx& ctx, std::shared_ptr<ConsulList> list,
                                                         std::uint64_t index) {
  const Semaphore::Hold slot = co_await slots_.enter(ctx);
  co_return co_await ask(ctx, std::move(list), index);
}

Task<ConsulRouter::Answer> ConsulRouter::ask(Ctx& ctx, std::shared_ptr<ConsulList> list,
                                             std::uint64_t index) {
  const std::string name = consul_name(list->service());
  ConsulRequest request("GET", "/v1/health/service/" + name);
  request.index = index;
  request.wait = watches_.size() > max_watches_ ? std::min(wait_, kShortWait) : wait_;
  request.expected_bytes = list->bytes();
  ConsulResponse answer = co_await client_.send(ctx, std::move(request));
  Answer out;
  static_cast<ConsulList::Read&>(out) = co_await read(ctx, std::move(list), std::move(answer.body));
  out.index = answer.index;
  for (const std::string& why : out.skipped) skip(name, why);
  co_return out;
}

/// A long answer is a helper thread's work: of 5,000 instances it has 8 MB.
Task<ConsulList::Read> ConsulRouter::read(Ctx& ctx, std::shared_ptr<ConsulList> list,
                                          std::string body) {
  if (body.size() <= kReadHere) co_return list->read(std::move(body));
  // A cancelled wait leaves the work behind: what it uses is its own.
  const auto text = std::make_shared<std::string>(std::move(body));
  for (;;) {
    auto done = co_await as_result(
        run_blocking(ctx, runtime_, [list, text] { return list->read(std::move(*text)); }));
    if (done.status() != Errc::resource_exhausted) co_return done;
    log::warn_limited("router.consul: a list waits for a helper thread: {}", done.status().text());
    co_await sleep(ctx, kHelperPause);
  }
}

void ConsulRouter::skip(const std::string& service, const std::string& why) {
  skipped_.inc();
  if (auto more = skipped_log_.pass(service + cut_text(why), core_.now()))
    log::warn_limited("router.consul: an entry of {} is left out ({} more times): {}", service,
                      *more, why);
}

// ---- asked once

Task<std::vector<Member>> ConsulRouter::members(Ctx& ctx, ServiceId service) {
  if (service.empty()) {
    co_return co_await all(ctx);
  }
  Answer answer = co_await ask(ctx, std::make_shared<ConsulList>(std::move(service)), 0);
  co_return std::move(answer.members);
}

/// The names tell where to look, the ids there which services these are.
Task<std::vector<Member>> ConsulRouter::all(Ctx& ctx) {
  const ConsulResponse answer =
      co_await client_.send(ctx, ConsulRequest("GET", "/v1/catalog/services"));
  auto names = parse_consul_names(answer.body);
  if (!names.is_ok()) co_return std::move(names).status();
  const std::string prefix = consul_name_prefix(id_.env());
  std::vector<Member> out;
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    const ConsulResponse listed = co_await client_.send(
        ctx, ConsulRequest("GET", "/v1/health/service/" + consul_escape(name)));
    auto parsed = parse_consul_health(listed.body);
    if (!parsed.is_ok()) co_return std::move(parsed).status();
    for (const ConsulService& one : parsed->services) {
      auto member = consul_member(one);
      if (member.is_ok() && member->id.env() == id_.env() &&
          consul_name(member->id.service_id()) == name &&
          std::find(out.begin(), out.end(), *member) == out.end())
        out.push_back(*std::move(member));
    }
  }
  co_return out;
}

}  // namespace m3
