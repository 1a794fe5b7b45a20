// SPDX-License-Identifier: BSL-1.0
// What [router.consul] promises (m3/plugin/router.h), on a real agent.
#include <csignal>

#include "../../seed/process.h"
#include "consul_fixture.h"

using namespace consul_test;

namespace {

const std::string kService = "dev.w.hello";

/// What others see of a watched instance.
std::string seen(const Ear& ear) {
  std::string out;
  for (const Member& member : ear.members(kService))
    out += member.id.to_string() + "@" + member.address.to_string() + " " +
           std::string(m3::member_state_name(member.state)) + " " + std::to_string(member.weight) +
           ";";
  return out;
}

}  // namespace

TEST_CASE(
    "consul: an announcement reaches a watcher completely, and disappears with the withdrawal") {
  const auto consul = start_consul();
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));  // an empty list is an answer
  Member self = teller->self(4711);
  self.weight = 7;
  self.version = "1.2";
  self.lane = "grey";
  self.placement = "stateless";
  REQUIRE(teller->announce(self).is_ok());
  const auto announced = Clock::now();
  CHECK(eventually([&] { return ear.members(kService) == std::vector<Member>{self}; }));
  CHECK(Clock::now() - announced < mark(1s));
  CHECK(teller->members(kService) == std::vector<Member>{self});
  REQUIRE(teller->withdraw().is_ok());
  CHECK(teller->members(kService).empty());
  const auto withdrawn = Clock::now();
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));
  CHECK(Clock::now() - withdrawn < mark(1s));
  REQUIRE(teller->withdraw().is_ok());  // nothing is there: nothing to do

  self.version = "\xff";  // JSON has no such text: it would never be seen as it was said
  CHECK(teller->announce(self) == Errc::invalid_argument);
  self.version = std::string(1000, 'x');  // Consul takes 512
  CHECK(teller->announce(self) == Errc::invalid_argument);
  CHECK(teller->members(kService).empty());
}

TEST_CASE("consul: one that is started again is called at once, though its death was noticed") {
  const auto consul = start_consul();
  const std::string rare = "check_interval = \"1m\"\n";
  auto dead = app("dev.w.hello.1", *consul, rare), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(dead->announce(dead->self(4711)).is_ok());
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
  Api api(consul->address());
  api.put("/v1/agent/check/fail/m3:dev.w.hello.1");
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));

  auto again = app("dev.w.hello.1", *consul, rare);
  const Member self = again->self(4711);
  REQUIRE(again->announce(self).is_ok());
  CHECK_FALSE(api.get("/v1/health/service/m3-dev-w-hello?passing").starts_with("[]"));
  CHECK(eventually([&] { return ear.members(kService) == std::vector<Member>{self}; }, mark(1s)));

  // What it says later changes nothing about its health.
  api.put("/v1/agent/check/fail/m3:dev.w.hello.1");
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));
  Member heavier = self;
  heavier.weight = 7;
  REQUIRE(again->announce(heavier).is_ok());
  CHECK(ear.ids(kService).empty());
  CHECK(api.get("/v1/health/service/m3-dev-w-hello?passing").starts_with("[]"));
}

TEST_CASE("consul: an instance that announces another state or weight is seen so at once") {
  const auto consul = start_consul();
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  Member self = teller->self(4711);
  for (const MemberState state :
       {MemberState::serving, MemberState::cordoned, MemberState::draining, MemberState::serving}) {
    self.state = state;
    self.weight += 1;
    REQUIRE(teller->announce(self).is_ok());
    const auto announced = Clock::now();
    const std::string wanted = "dev.w.hello.1@127.0.0.1:4711 " +
                               std::string(m3::member_state_name(state)) + " " +
                               std::to_string(self.weight) + ";";
    CHECK(eventually([&] { return seen(ear) == wanted; }));
    CHECK(Clock::now() - announced < mark(1s));
  }
}

TEST_CASE("consul: another process is seen, and noticed when it is killed") {
  const auto consul = start_consul();
  auto hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch("dev.w.multi", ear);
  const seed::TempFile config(
      "listen = \"127.0.0.1:0\"\ncores = 1\n[router.consul]\naddresses = [\"" +
      consul->address().to_string() + "\"]\ncheck_interval = \"500ms\"\n");
  seed::Process process({seed::multi_program(), "-idstr", "dev.w.multi.1", "-conf", config.path()});
  REQUIRE(process.says("ready id=dev.w.multi.1"));
  CHECK(eventually([&] { return ear.ids("dev.w.multi") == Lines{"dev.w.multi.1"}; }, mark(1s)));

  // A second one with that id does not start, and says why.
  const seed::Finished second =
      seed::run({seed::multi_program(), "-idstr", "dev.w.multi.1", "-conf", config.path()});
  INFO(second.output);
  CHECK(second.code == 1);
  CHECK(second.output.find("already_exists") != std::string::npos);
  CHECK(second.output.find("dev.w.multi.1 is already running at 127.0.0.1:" +
                           std::to_string(ear.members("dev.w.multi").at(0).address.port)) !=
        std::string::npos);

  const auto generation = ear.members("dev.w.multi").at(0).generation;
  // Killed, and started again before Consul can know of it.
  process.signal(SIGKILL);
  process.wait();
  seed::Process again({seed::multi_program(), "-idstr", "dev.w.multi.1", "-conf", config.path()});
  REQUIRE(again.says("ready id=dev.w.multi.1"));
  CHECK(eventually([&] {
    const auto now = ear.members("dev.w.multi");
    return now.size() == 1 && now[0].generation > generation;
  }));
  again.signal(SIGKILL);
  again.wait();
  CHECK(eventually([&] { return ear.ids("dev.w.multi").empty(); }));
  CHECK(hearer->members("dev.w.multi").size() == 1);  // not passing, but still there
}

TEST_CASE("consul: entries that are not m3 instances are left out, one by one") {
  const auto consul = start_consul();
  Api api(consul->address());
  const auto put = [&](const std::string& json) { api.put("/v1/agent/service/register", json); };
  const std::string name = R"("Name": "m3-dev-w-hello", )";
  put("{" + name + R"("ID": "somebody's web server", "Address": "127.0.0.1", "Port": 80})");
  put("{" + name + R"("ID": "dev.w.hello.2", "Address": "127.0.0.1", "Port": 80})");
  put("{" + name + R"("ID": "dev.w.hello.3", "Address": "127.0.0.1", "Port": 80,
      "Meta": {"generation": "1", "state": "asleep"}})");
  put("{" + name + R"("ID": "dev.w.hello.4", "Address": "127.0.0.1", "Port": 80,
      "Meta": {"generation": "12x", "state": "serving"}})");
  put("{" + name + R"("ID": "dev.w.hello.5", "Meta": {"generation": "1", "state": "serving"}})");
  // Another service whose name reads the same.
  put("{" + name + R"("ID": "dev-w.hello.x.1", "Address": "127.0.0.1", "Port": 80,
      "Meta": {"generation": "1", "state": "serving"}})");
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
  CHECK(hearer->members(kService).size() == 1);
  CHECK(hearer->members("").size() == 1);
}

TEST_CASE("consul: ids that read the same as a name of DNS stay apart") {
  const auto consul = start_consul();
  auto one = app("dev.a-b.c.1", *consul), two = app("dev.a.b-c.1", *consul),
       three = app("dev.A_b.c.1", *consul), other = app("devx.w.c.1", *consul);
  Ear ear;
  for (App* teller : {one.get(), two.get(), three.get(), other.get()})
    REQUIRE(teller->announce(teller->self(4711)).is_ok());
  for (const char* service : {"dev.a-b.c", "dev.a.b-c", "dev.A_b.c"}) one->watch(service, ear);
  CHECK(eventually([&] { return ear.ids("dev.a-b.c") == Lines{"dev.a-b.c.1"}; }));
  CHECK(eventually([&] { return ear.ids("dev.a.b-c") == Lines{"dev.a.b-c.1"}; }));
  CHECK(eventually([&] { return ear.ids("dev.A_b.c") == Lines{"dev.A_b.c.1"}; }));
  CHECK(one->members("").size() == 3);  // the whole environment
  CHECK(other->members("").size() == 1);
}

TEST_CASE("consul: an operator's maintenance mode cordons, and ends") {
  const auto consul = start_consul();
  Api api(consul->address());
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  api.put("/v1/agent/service/maintenance/dev.w.hello.1?enable=true&reason=test");
  CHECK(eventually([&] { return seen(ear) == "dev.w.hello.1@127.0.0.1:4711 cordoned 100;"; }));
  api.put("/v1/agent/service/maintenance/dev.w.hello.1?enable=false");
  CHECK(eventually([&] { return seen(ear) == "dev.w.hello.1@127.0.0.1:4711 serving 100;"; }));
}

TEST_CASE("consul: a watch that has ended gets nothing more, and can start again") {
  const auto consul = start_consul();
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear first, second;
  hearer->watch(kService, first);
  CHECK(eventually([&] { return first.lists() == 1; }));
  hearer->unwatch(kService);
  hearer->watch(kService, second);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  CHECK(eventually([&] { return second.ids(kService) == Lines{"dev.w.hello.1"}; }));
  CHECK(first.lists() == 1);
}
