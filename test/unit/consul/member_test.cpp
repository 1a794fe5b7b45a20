// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_member.h"

#include "m3/testing/catch.h"

using m3::AppId;
using m3::ConsulService;
using m3::Errc;
using m3::Member;
using m3::MemberState;
using m3::ServiceId;
using namespace std::chrono_literals;

namespace {

Member whole() {
  Member out;
  out.id = *AppId::parse("dev.world_1.Role.12");
  out.generation = 1795787602046631333;
  out.run = 0xfedcba9876543210;
  out.address = {"10.0.0.1", 4711};
  out.admin_port = 4712;
  out.weight = 7;
  out.state = MemberState::draining;
  out.version = "1.2";
  out.lane = "grey";
  out.placement = "resident_fixed";
  return out;
}

/// As Consul gives back what it was told.
ConsulService service_of(const Member& member) {
  const auto registration = m3::consul_registration(member, {2s, 1min});
  ConsulService out;
  out.id = registration.id;
  out.name = registration.name;
  out.host = registration.host;
  out.port = registration.port;
  out.meta = registration.meta;
  return out;
}

std::string refused(ConsulService service) {
  auto member = m3::consul_member(service);
  REQUIRE(member.status() == Errc::invalid_argument);
  return member.status().text();
}

}  // namespace

TEST_CASE("consul member: a registration is read back completely") {
  const Member member = whole();
  CHECK(*m3::consul_member(service_of(member)) == member);
  Member plain;
  plain.id = *AppId::parse("dev.w.hello.1");
  plain.generation = 1;
  plain.address = {"::1", 1};
  CHECK(*m3::consul_member(service_of(plain)) == plain);
}

TEST_CASE("consul member: a weight that no app may be given counts as the most that one may") {
  Member member = whole();
  for (const std::uint32_t weight : {Member::kMostWeight, Member::kMostWeight + 1, ~0u}) {
    member.weight = weight;
    CHECK(m3::consul_member(service_of(member))->weight == 1'000'000);
  }
}

TEST_CASE("consul member: names are good for DNS, and begin with their environment") {
  const auto name = [](const char* id) { return m3::consul_name(*ServiceId::parse(id)); };
  CHECK(name("dev.world1.hello") == "m3-dev-world1-hello");
  CHECK(name("dev.world_1.Role") == "m3-dev-world-1-role");
  CHECK(name("dev.world-1.role") == name("dev.world_1.Role"));  // the ids tell them apart
  CHECK(name("Dev.w.x").starts_with(m3::consul_name_prefix("Dev")));
}

TEST_CASE(
    "consul member: an app with an admin port is asked there, another one must say it lives") {
  Member member = whole();
  CHECK(m3::consul_registration(member, {2s, 90s}).check.http ==
        "http://10.0.0.1:4712/health/live");  // it drains, and is not ready on purpose
  member.state = MemberState::cordoned;
  auto asked = m3::consul_registration(member, {2s, 90s}).check;
  CHECK(asked.id == "m3:dev.world_1.Role.12");
  CHECK(asked.http == "http://10.0.0.1:4712/health/ready");
  CHECK(asked.interval == 2s);
  CHECK(asked.timeout == 2s);
  CHECK(asked.failures_before_critical == 2);
  CHECK(asked.deregister_after == 90s);
  member.address.host = "::1";
  CHECK(m3::consul_registration(member, {500ms, 90s}).check.http ==
        "http://[::1]:4712/health/ready");
  CHECK(m3::consul_registration(member, {500ms, 90s}).check.timeout == 1s);
  member.admin_port = 0;
  auto own = m3::consul_registration(member, {2s, 90s}).check;
  CHECK(own.http.empty());
  CHECK(own.ttl == 6s);
}

TEST_CASE("consul member: an entry that is not an m3 instance is refused with the reason") {
  const ConsulService good = service_of(whole());
  ConsulService bad = good;
  bad.id = "somebody's web server";
  CHECK(refused(bad).find("somebody's web server") != std::string::npos);
  bad = good;
  bad.port = 0;
  CHECK(refused(bad) == "it has no address");
  bad = good;
  bad.meta.clear();
  CHECK(refused(bad) == "it has no generation: it was not registered by an m3 app");
  for (const char* key : {"generation", "weight", "admin_port"}) {
    for (const char* value : {"-1", "1x", "99999999999999999999"}) {
      bad = good;
      bad.meta[key] = value;
      CHECK(refused(bad) == std::string(key) + " is not a number");
    }
  }
  bad = good;
  bad.meta["state"] = "asleep";
  CHECK(refused(bad).find("asleep") != std::string::npos);
}

TEST_CASE("consul member: maintenance reads as cordoned, unless it leaves anyway") {
  Member member = whole();
  ConsulService service = service_of(member);
  service.maintenance = true;
  CHECK(m3::consul_member(service)->state == MemberState::draining);
  member.state = MemberState::serving;
  service = service_of(member);
  service.maintenance = true;
  CHECK(m3::consul_member(service)->state == MemberState::cordoned);
}
