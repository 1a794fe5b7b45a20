// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_member.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace m3 {
namespace {

using namespace std::chrono_literals;

/// This many missed heartbeats make an instance critical.
constexpr int kMissed = 3;
/// One slow answer of a busy app is not a reason to move its traffic.
constexpr unsigned kFailures = 2;

void append_label(std::string& out, std::string_view part) {
  for (const char c : part) {
    if (c == '_')
      out += '-';
    else
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
}

const std::string& value_of(const ConsulService& service, const char* key) {
  static const std::string kNone;
  const auto at = service.meta.find(key);
  return at == service.meta.end() ? kNone : at->second;
}

/// Reads a missing value as `absent`.
template <class T>
Result<T> number_of(const ConsulService& service, const char* key, T absent) {
  const std::string& text = value_of(service, key);
  if (text.empty()) return absent;
  T out{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  if (error == std::errc() && stop == end) return out;
  return Status(Errc::invalid_argument, std::string(key) + " is not a number");
}

}  // namespace

std::string consul_name_prefix(std::string_view env) {
  std::string out = "m3-";
  append_label(out, env);
  return out += '-';
}

std::string consul_name(const ServiceId& service) {
  std::string out = consul_name_prefix(service.env());
  append_label(out, service.world());
  out += '-';
  append_label(out, service.func());
  return out;
}

std::string consul_check_id(const AppId& id) { return "m3:" + id.to_string(); }

ConsulRegistration consul_registration(const Member& member, const ConsulCheckTimes& times) {
  ConsulRegistration out;
  out.id = member.id.to_string();
  out.name = consul_name(member.id.service_id());
  out.host = member.address.host;
  out.port = member.address.port;
  out.meta = {{"generation", std::to_string(member.generation)},
              {"run", std::to_string(member.run)},
              {"weight", std::to_string(member.weight)},
              {"state", std::string(member_state_name(member.state))},
              {"admin_port", std::to_string(member.admin_port)},
              {"version", member.version},
              {"lane", member.lane},
              {"placement", member.placement}};
  out.check.id = consul_check_id(member.id);
  out.check.name = "m3";
  out.check.deregister_after = times.deregister_after;
  if (member.admin_port) {
    const HostPort admin{member.address.host, member.admin_port};
    // One that drains is not ready, on purpose, and still gets the calls that name it.
    const bool drains = member.state == MemberState::draining;
    out.check.http = "http://" + admin.to_string() + (drains ? "/health/live" : "/health/ready");
    out.check.interval = times.interval;
    out.check.timeout = std::max<Duration>(times.interval, 1s);
    out.check.failures_before_critical = kFailures;
  } else {
    out.check.ttl = times.interval * kMissed;
  }
  return out;
}

Result<Member> consul_member(const ConsulService& service) {
  auto id = AppId::parse(service.id);
  if (!id.is_ok()) return std::move(id).status();
  if (service.host.empty() || service.port == 0)
    return Status(Errc::invalid_argument, "it has no address");
  Member out;
  out.id = *std::move(id);
  out.address = {service.host, service.port};
  auto generation = number_of<std::uint64_t>(service, "generation", 0);
  if (!generation.is_ok()) return std::move(generation).status();
  if (*generation == 0)
    return Status(Errc::invalid_argument,
                  "it has no generation: it was not registered by an m3 app");
  auto run = number_of<std::uint64_t>(service, "run", 0);
  if (!run.is_ok()) return std::move(run).status();
  auto weight = number_of<std::uint32_t>(service, "weight", out.weight);
  if (!weight.is_ok()) return std::move(weight).status();
  auto admin = number_of<std::uint16_t>(service, "admin_port", 0);
  if (!admin.is_ok()) return std::move(admin).status();
  auto state = member_state_from_name(value_of(service, "state"));
  if (!state.is_ok()) return std::move(state).status().add_context("state");
  out.generation = *generation;
  out.run = *run;
  // A weight that no app may have is from elsewhere: it counts as the largest allowed.
  out.weight = std::min(*weight, Member::kMostWeight);
  out.admin_port = *admin;
  out.state = *state;
  out.version = value_of(service, "version");
  out.lane = value_of(service, "lane");
  out.placement = value_of(service, "placement");
  if (service.maintenance && out.state == MemberState::serving) out.state = MemberState::cordoned;
  return out;
}

}  // namespace m3
