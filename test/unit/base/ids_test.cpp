// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/member.h"
#include "m3/base/method_hash.h"
#include "m3/base/route_mode.h"
#include "m3/testing/catch.h"

using m3::AppId;

namespace {

AppId id(const std::string& text) {
  auto parsed = AppId::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

std::string why_not(const std::string& text) {
  auto parsed = AppId::parse(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.code() == m3::Errc::invalid_argument);
  return parsed.status().text();
}

using m3::testing::contains;

}  // namespace

TEST_CASE("base: an app id has four parts and gives its prefixes") {
  AppId app = id("dev.world1.hello.role-7");
  CHECK(app.env() == "dev");
  CHECK(app.world() == "world1");
  CHECK(app.func() == "hello");
  CHECK(app.ins() == "role-7");
  CHECK(app.to_string() == "dev.world1.hello.role-7");
  CHECK(app.service_id().to_string() == "dev.world1.hello");
  CHECK(app.service_id().func() == "hello");
  CHECK(app.service_id().world_id() == app.world_id());
  CHECK(app.world_id().to_string() == "dev.world1");
  CHECK(app.service_id() == *m3::ServiceId::parse("dev.world1.hello"));
}

TEST_CASE("base: a refused app id says which part is wrong and shows a good one") {
  CHECK(why_not("dev.world1.hello") ==
        "\"dev.world1.hello\" is not an app id: it has 3 parts instead of 4; write "
        "env.world.func.ins, for example "
        "dev.world1.hello.1");
  CHECK(contains(why_not(""), "it is empty"));
  CHECK(contains(why_not("dev..hello.1"), "its world is empty"));
  CHECK(contains(why_not("dev.w.hello."), "its ins is empty"));
  CHECK(contains(why_not("dev.w.hel lo.1"), "its func \"hel lo\" has a character other than"));
  CHECK(contains(why_not("dev.w/x.hello.1"), "its world \"w/x\""));
  CHECK(contains(why_not("dev.w.hello.1.2"), "5 parts"));
  CHECK(contains(why_not("dev.w.hello." + std::string(64, 'a')), "has 64 characters, at most 63"));
  CHECK(AppId::parse("dev.w.hello." + std::string(63, 'a')));
  CHECK(contains(m3::ServiceId::parse("dev.w").status().text(), "is not a service id"));
  CHECK(contains(m3::WorldId::parse("dev").status().text(), "it has 1 part instead of 2"));
}

TEST_CASE("base: the text of a hostile id is shown escaped and cut") {
  std::string text = why_not(std::string("a\n\x01\xff\"") + std::string(5000, '.'));
  CHECK(contains(text, "a\\x0a\\x01\\xff\\x22"));
  CHECK(text.size() < 300);
}

TEST_CASE("base: ids of the largest size keep their parts apart") {
  std::string part(63, 'x');
  AppId app = id(part + "." + part + "." + part + "." + part);
  CHECK(app.ins() == part);
  CHECK(app.func() == part);
  CHECK(app.service_id().func() == part);
}

TEST_CASE("base: Single takes instance 9 before instance 10") {
  CHECK(m3::instance_less(id("d.w.f.9"), id("d.w.f.10")));
  CHECK_FALSE(m3::instance_less(id("d.w.f.10"), id("d.w.f.9")));
  CHECK(m3::instance_less(id("d.w.f.role-9"), id("d.w.f.role-10")));
  CHECK(m3::instance_less(id("d.w2.f.5"), id("d.w10.f.1")));
  CHECK(m3::instance_less(id("d.w.f.a"), id("d.w.f.a1")));
  CHECK(
      m3::instance_less(id("d.w.f.99999999999999999999998"), id("d.w.f.99999999999999999999999")));
  CHECK_FALSE(m3::instance_less(id("d.w.f.1"), id("d.w.f.1")));
}

TEST_CASE("base: instance_less is a strict total order over confusable ids") {
  std::vector<AppId> ids;
  for (const char* ins : {"1", "01", "001", "10", "9", "a", "a1", "a01", "a-1", "a_1", "A1", "1a",
                          "0", "00", "a1b2", "a1b10"})
    ids.push_back(id(std::string("d.w.f.") + ins));
  for (const AppId& a : ids)
    for (const AppId& b : ids) {
      CHECK((a == b) == (!m3::instance_less(a, b) && !m3::instance_less(b, a)));
      for (const AppId& c : ids)
        if (m3::instance_less(a, b) && m3::instance_less(b, c)) CHECK(m3::instance_less(a, c));
    }
}

TEST_CASE("base: ids are keys of hashed and ordered containers") {
  std::unordered_set<AppId> seen{id("a.b.c.1"), id("a.b.c.2"), id("a.b.c.1")};
  CHECK(seen.size() == 2);
  CHECK(AppId() < id("a.b.c.1"));
  CHECK(AppId().empty());
  CHECK(AppId().ins().empty());
  CHECK(AppId().service_id().empty());
}

TEST_CASE("base: a method's number is FNV-1a of its full name") {
  STATIC_REQUIRE(m3::method_hash("") == 0x811c9dc5U);
  STATIC_REQUIRE(m3::method_hash("a") == 0xe40c292cU);
  STATIC_REQUIRE(m3::method_hash("foobar") == 0xbf9cf968U);
  CHECK(m3::method_hash("/hello.Hello/Say") != m3::method_hash("/hello.Hello/Shout"));
}

TEST_CASE("base: route modes have names and numbers that go both ways") {
  for (std::uint32_t i = 0; i < 8; ++i) {
    auto mode = m3::route_mode_from_number(i);
    CHECK(static_cast<std::uint32_t>(mode) == i);
    CHECK(m3::route_mode_from_name(m3::route_mode_name(mode)) == mode);
  }
  CHECK(m3::route_mode_from_number(8) == m3::RouteMode::none);
  CHECK_FALSE(m3::route_mode_from_name("unknown"));
}

TEST_CASE("base: a peer of a list that is not one is refused with the reason") {
  const m3::Member good = *m3::parse_member("dev.w.hello.1@10.0.0.1:20");
  CHECK(good.id.to_string() == "dev.w.hello.1");
  CHECK(good.address.to_string() == "10.0.0.1:20");
  for (const char* text : {"dev.w.hello.1", "dev.w.hello@10.0.0.1:1", "dev.w.hello.1@10.0.0.1"}) {
    INFO(text);
    CHECK(m3::parse_member(text).status() == m3::Errc::invalid_argument);
    CHECK(contains(m3::parse_member(text).status().text(), text));
  }
}
