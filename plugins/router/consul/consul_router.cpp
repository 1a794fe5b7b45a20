// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_router.h"

#include <algorithm>
#include <utility>

#include "plugins/router/consul/consul_retry.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

Status good_addresses(const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) {
    if (Status good = HostPort::parse_remote(text).status(); !good) return good;
  }
  return ok;
}

/// It becomes a line of a request.
Status good_token(const std::string& token) {
  const bool good =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  return good ? Status() : Status(Errc::invalid_argument, "a token cannot contain spaces");
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
      .doc("host:port of the agents: the first that answers is used until it fails")
      .not_empty()
      .check(good_addresses);
  s.add("token", &Config::token)
      .doc("token of Consul's ACL: \"${CONSUL_HTTP_TOKEN}\"; empty: none is sent")
      .secret()
      .check(good_token);
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("time limit for connecting to an agent")
      .range(10ms, 1min);
  s.add("request_timeout", &Config::request_timeout)
      .doc("time limit for an answer; blocking queries get `wait` on top")
      .range(100ms, 1min);
  s.add("wait", &Config::wait).doc("how long a blocking query waits for a change").range(1s, 10min);
  s.add("max_watches", &Config::max_watches)
      .doc("blocking queries at the same time, each on its own connection")
      .range(1, 10000);
  s.add("max_response", &Config::max_response)
      .doc("largest answer that is accepted")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("check_interval", &Config::check_interval)
      .doc("how often this app's health is checked")
      .range(500ms, 1min);
  s.add("deregister_after", &Config::deregister_after)
      .doc("Consul removes this app after its check has failed for this long")
      .range(1min, 24h);
}

/// One service and its watcher; its query continues until the watcher is gone.
ConsulRouter::ConsulRouter(Env& env, const Config& config)
    : core_(env.runtime().core(0)),
      id_(env.app_id()),
      client_(core_, "router.consul", options_of(config)),
      announcer_(core_, client_, {config.check_interval, config.deregister_after},
                 config.request_timeout, env.metrics()),
      watches_(env.runtime(), client_, {config.wait, config.max_watches}, env.metrics()) {}

ConsulRouter::~ConsulRouter() = default;

/// Checks what the app will need later: an agent, its servers, and the token. Called again while
/// they are only unavailable.
Task<> ConsulRouter::start(Ctx& ctx) {
  Status status = (co_await as_result(watches_.members(ctx, id_.service_id()))).status();
  if (!status) co_return consul_away(std::move(status)).add_context("router.consul");
  co_await announcer_.start(ctx);
  co_return ok;
}

Task<> ConsulRouter::stop(Ctx&) {
  Ctx patient(core_);
  co_await watches_.stop(patient);
  co_await announcer_.stop(patient);
  co_return ok;
}

Task<> ConsulRouter::announce(Ctx& ctx, Member self) {
  return announcer_.announce(ctx, std::move(self));
}
Task<> ConsulRouter::withdraw(Ctx&) { return announcer_.withdraw(); }

void ConsulRouter::watch(const ServiceId& service, Watcher& watcher) {
  watches_.watch(service, watcher);
}
void ConsulRouter::unwatch(const ServiceId& service) { watches_.unwatch(service); }

// ---- asked once

Task<std::vector<Member>> ConsulRouter::members(Ctx& ctx, ServiceId service) {
  if (service.empty()) co_return co_await all(ctx);
  co_return co_await watches_.members(ctx, std::move(service));
}

/// The names select the entries, whose ids tell which services they belong to.
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
