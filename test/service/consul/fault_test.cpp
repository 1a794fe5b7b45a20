// SPDX-License-Identifier: BSL-1.0
// What becomes of registrations and watches when Consul goes away, forgets, or does not let us in.
#include <arpa/inet.h>

#include <fstream>
#include <map>
#include <sstream>

#include "consul_fixture.h"
#include "fake_agent.h"
#include "m3/obs/recording_sink.h"

using namespace consul_test;

namespace {

const std::string kService = "dev.w.hello";

/// Connections of this machine to a port.
int connections_to(std::uint16_t port) {
  std::ostringstream wanted;
  wanted << ':' << std::uppercase << std::hex << port << " 01 ";
  const std::string all = wanted.str();
  int out = 0;
  std::ifstream table("/proc/net/tcp");
  for (std::string line; std::getline(table, line);)
    if (line.find(all) != std::string::npos) ++out;
  return out;
}

RealService::Options with_acl(bool locked = true) {
  RealService::Options out;
  if (locked)
    out.args = {
        "-hcl=acl { enabled = true default_policy = \"deny\" tokens { master = "
        "\"3a7e1c52-0000-4000-8000-master000001\" } }"};
  return out;
}
/// Registers an instance by hand, without a check.
void add_service(Api& api, const std::string& func, int ins) {
  api.put("/v1/agent/service/register", R"({"Name": "m3-dev-w-)" + func + R"(", "ID": "dev.w.)" +
                                            func + "." + std::to_string(ins) +
                                            R"(", "Address": "127.0.0.1", "Port": 80,
              "Meta": {"generation": "1", "state": "serving"}})");
}
const std::string kMaster = "3a7e1c52-0000-4000-8000-master000001";

}  // namespace

TEST_CASE("consul: an agent that was stopped and wiped has all instances back") {
  const auto consul = start_consul();
  auto one = app("dev.w.hello.1", *consul), two = app("dev.w.hello.2", *consul);
  auto hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(one->announce(one->self(4711)).is_ok());
  Member cordoned = two->self(4712);
  cordoned.state = MemberState::cordoned;
  REQUIRE(two->announce(cordoned).is_ok());
  const Lines both{"dev.w.hello.1", "dev.w.hello.2"};
  CHECK(eventually([&] { return ear.ids(kService) == both; }));

  consul->kill9();
  CHECK(eventually([&] { return ear.unreachable() > 1; }));
  CHECK(ear.why() == Errc::unavailable);
  CHECK(ear.why().text().find(consul->address().to_string()) != std::string::npos);
  CHECK(ear.ids(kService) == both);  // nothing was said of them

  const int lists = ear.lists();
  REQUIRE(consul->start_again().is_ok());  // in memory: it knows of nobody
  const auto back = Clock::now();
  CHECK(eventually([&] { return ear.lists() > lists && ear.ids(kService) == both; }));
  CHECK(eventually([&] {
    for (const Member& member : ear.members(kService))
      if (member.id.to_string() == "dev.w.hello.2" && member.state == MemberState::cordoned)
        return true;
    return false;
  }));
  CHECK(Clock::now() - back < mark(10s));
}

TEST_CASE("consul: an app that is deregistered by somebody else registers again") {
  const auto consul = start_consul();
  Api api(consul->address());
  auto teller = app("dev.w.hello.1", *consul), hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
  api.put("/v1/agent/service/deregister/dev.w.hello.1");
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }, mark(10s)));
  api.put("/v1/agent/check/deregister/m3:dev.w.hello.1");  // only the check
  CHECK(eventually([&] {
    return api.get("/v1/health/service/m3-dev-w-hello").find("m3:dev.w.hello.1") !=
           std::string::npos;
  }));
}

TEST_CASE("consul: a silent agent is found out before the queries that wait there have ended") {
  const auto consul = start_consul();
  auto hearer = app("dev.w.caller.1", *consul,
                    "wait = \"10m\"\nrequest_timeout = \"300ms\"\ncheck_interval = \"500ms\"\n");
  Ear ear;
  hearer->watch(kService, ear);
  CHECK(eventually([&] { return ear.lists() >= 1; }));
  consul->freeze();
  CHECK(eventually([&] { return ear.unreachable() > 0; }));
  CHECK(ear.why().text().find("did not answer within 300ms") != std::string::npos);
  const int lists = ear.lists();
  consul->thaw();
  CHECK(eventually([&] { return ear.lists() > lists; }));
}

TEST_CASE("consul: of two agents the one that answers is used") {
  const auto dead = RealService::prepare(RealService::Kind::consul);
  REQUIRE(dead.is_ok());
  const auto alive = start_consul();
  const Lines agents{(*dead)->address().to_string(), alive->address().to_string()};
  App teller("dev.w.hello.1", agents), hearer("dev.w.caller.1", agents);
  REQUIRE(teller.started.is_ok());
  REQUIRE(hearer.started.is_ok());
  Ear ear;
  hearer.watch(kService, ear);
  REQUIRE(teller.announce(teller.self(4711)).is_ok());
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));

  // The other one takes over while all runs, and has everybody.
  REQUIRE((*dead)->start_again().is_ok());
  alive->kill9();
  Api api((*dead)->address());
  const auto listed = [&](Api& where) {
    return where.get("/v1/health/service/m3-dev-w-hello").find("dev.w.hello.1") !=
           std::string::npos;
  };
  CHECK(eventually([&] { return listed(api); }));
  const int lists = ear.lists();
  CHECK(eventually(
      [&] { return ear.lists() >= lists && ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
  REQUIRE(teller.withdraw().is_ok());
  CHECK_FALSE(listed(api));
}

TEST_CASE("consul: an abandoned agent that returns with an old entry is cleaned up") {
  RealService::Options keeps;
  keeps.keeps_data = true;
  const auto first = start_consul(keeps), second = start_consul();
  App teller("dev.w.hello.1", {first->address().to_string(), second->address().to_string()});
  REQUIRE(teller.started.is_ok());
  REQUIRE(teller.announce(teller.self(4711)).is_ok());
  first->kill9();
  Api two(second->address());
  const auto has = [](Api& api) {
    auto answer = api.send({"GET", "/v1/agent/service/dev.w.hello.1"});
    return answer.is_ok() && answer->found();
  };
  CHECK(eventually([&] { return has(two); }));
  REQUIRE(first->start_again().is_ok());
  Api one(first->address());
  CHECK(eventually([&] { return !has(one); }));
  CHECK(has(two));
}

TEST_CASE("consul: a start waits for its agent, and names the missing one") {
  const auto consul = RealService::prepare(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  const std::string address = (*consul)->address().to_string();
  const App missing("dev.w.hello.1", {address}, "", 500ms);
  CHECK(missing.started == Errc::deadline_exceeded);
  CHECK(missing.started.text().find(address) != std::string::npos);
  Status patient;
  std::thread waiting([&] { patient = App("dev.w.hello.1", {address}).started; });
  const Status server = (*consul)->start_again();
  waiting.join();
  CHECK(server.is_ok());
  CHECK(patient.is_ok());
}

TEST_CASE("consul: the token gives access, a wrong one fails at once, and none is ever shown") {
  const auto consul = start_consul(with_acl());
  const std::string address = consul->address().to_string();
  auto sink = std::make_shared<m3::RecordingSink>();
  const m3::ScopedLogSink scoped(sink);
  // The first token comes with the leader.
  Api api(consul->address(), kMaster);
  CHECK(eventually([&] { return api.send({"GET", "/v1/acl/token/self"}).is_ok(); }));

  const App wrong("dev.w.hello.1", {address}, "token = \"secret-but-wrong\"\n");
  CHECK(wrong.started == Errc::unauthenticated);
  CHECK(wrong.started.text().find("the token is unknown to Consul") != std::string::npos);
  CHECK(wrong.started.text().find("secret-but-wrong") == std::string::npos);

  App none("dev.w.hello.1", {address});
  REQUIRE(none.started.is_ok());  // anybody may ask, and is told of nothing
  const Status refused = none.announce(none.self(4711));
  CHECK(refused == Errc::permission_denied);
  CHECK(refused.text().find("service:write for m3-dev-w-hello") != std::string::npos);

  // What docs/guide/consul.md says is enough.
  api.put("/v1/acl/policy", R"({"Name": "m3", "Rules":
      "service_prefix \"m3-dev-\" { policy = \"write\" } node_prefix \"\" { policy = \"read\" }"})");
  api.put("/v1/acl/token", R"({"SecretID": "0d2c1e6a-1111-4222-8333-445566778899",
      "Policies": [{"Name": "m3"}]})");
  const std::string token = "token = \"0d2c1e6a-1111-4222-8333-445566778899\"\n";
  auto teller = app("dev.w.hello.1", *consul, token);
  auto hearer = app("dev.w.caller.1", *consul, token);
  Ear ear;
  hearer->watch(kService, ear);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
  CHECK(hearer->members("").size() == 1);
  REQUIRE(teller->withdraw().is_ok());
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));

  // A token that may register, but not see what it registered.
  api.put("/v1/acl/policy", R"({"Name": "blind", "Rules":
      "service_prefix \"m3-dev-\" { policy = \"write\" }"})");
  api.put("/v1/acl/token", R"({"SecretID": "0d2c1e6a-1111-4222-8333-445566770000",
      "Policies": [{"Name": "blind"}]})");
  auto blind = app("dev.w.hello.2", *consul, "token = \"0d2c1e6a-1111-4222-8333-445566770000\"\n");
  const Status unseen = blind->announce(blind->self(4712), 1500ms);
  CHECK(unseen == Errc::deadline_exceeded);
  CHECK(unseen.text().find("node:read") != std::string::npos);
  REQUIRE(blind->withdraw().is_ok());  // a failed announcement leaves nothing behind
  CHECK(api.send({"GET", "/v1/agent/service/dev.w.hello.2"})->found() == false);

  for (const auto& event : sink->events())
    for (const char* secret : {"0d2c1e6a", "secret-but-wrong"})
      REQUIRE(event.text.find(secret) == std::string::npos);
}

TEST_CASE(
    "consul: an app with an admin port is checked there, and comes and goes with its health") {
  const auto consul = start_consul();
  FakeAgent admin([](const std::string& request) {
    return FakeAgent::answer(request.starts_with("GET /health/ready ") ? 200 : 404, "ok");
  });
  auto teller = app("dev.w.hello.1", *consul, "check_interval = \"500ms\"\n");
  auto hearer = app("dev.w.caller.1", *consul);
  Ear ear;
  hearer->watch(kService, ear);
  Member self = teller->self(4711);
  self.admin_port = admin.port();
  REQUIRE(teller->announce(self).is_ok());
  CHECK(eventually([&] { return ear.members(kService) == std::vector<Member>{self}; }));
  CHECK(eventually([&] { return admin.requests() > 2; }));
  CHECK(ear.ids(kService) == Lines{"dev.w.hello.1"});
  admin.set([](const std::string&) { return FakeAgent::answer(503, "starting"); });
  CHECK(eventually([&] { return ear.ids(kService).empty(); }));
  CHECK(ear.members(kService).size() == 1);  // sick, and not forgotten
  admin.set([](const std::string&) { return FakeAgent::answer(200, "ok"); });
  CHECK(eventually([&] { return ear.ids(kService) == Lines{"dev.w.hello.1"}; }));
}

TEST_CASE(
    "consul: 200 watched services use the allowed number of connections, and all get updates") {
  const auto consul = start_consul();
  Api api(consul->address());
  for (int i = 0; i < 200; ++i) add_service(api, "s" + std::to_string(i), 2);
  auto hearer = app("dev.w.caller.1", *consul, "max_watches = 20\n");
  Ear ear;
  for (int i = 0; i < 200; ++i) hearer->watch("dev.w.s" + std::to_string(i), ear);
  const auto began = Clock::now();
  CHECK(eventually([&] { return ear.services() == 200; }));
  CHECK(Clock::now() - began < mark(2s));
  auto teller = app("dev.w.s150.1", *consul);
  REQUIRE(teller->announce(teller->self(4711)).is_ok());
  const Lines both{"dev.w.s150.1", "dev.w.s150.2"};
  CHECK(eventually([&] { return ear.ids("dev.w.s150") == both; }));
  CHECK(ear.unreachable() == 0);
  // 20 that wait, and those of the test and of the two apps that look after themselves.
  CHECK(connections_to(consul->address().port) <= 25);
}

TEST_CASE("consul: one watch more than may wait at once is answered at once, and has its turns") {
  std::mutex mutex;
  std::map<std::string, int> waits;  // for a change, by service
  FakeAgent agent([&](const std::string& request) -> std::string {
    const std::size_t name = request.find("m3-dev-w-s");
    if (request.starts_with("GET /v1/catalog/services"))
      return FakeAgent::answer(200, R"({"m3-dev-w-s0": [], "m3-dev-w-s1": [], "m3-dev-w-s2": []})");
    if (name == std::string::npos || request.find("?index=") == std::string::npos)
      return FakeAgent::answer(200, "[{}]", "X-Consul-Index: 7\r\n");
    const std::lock_guard lock(mutex);
    ++waits[request.substr(name + 9, 2)];
    return "";  // nothing changes
  });
  const auto waited = [&](const std::string& service) {
    const std::lock_guard lock(mutex);
    return waits[service];
  };
  App hearer("dev.w.caller.1", {agent.address().to_string()}, "max_watches = 2\nwait = \"10m\"\n");
  REQUIRE(hearer.started.is_ok());
  Ear ear;
  hearer.watch("dev.w.s0", ear);
  hearer.watch("dev.w.s1", ear);
  CHECK(eventually([&] { return waited("s0") == 1 && waited("s1") == 1; }));
  const auto began = Clock::now();
  hearer.watch("dev.w.s2", ear);
  CHECK(eventually([&] { return ear.services() == 3; }));
  CHECK(Clock::now() - began < mark(500ms));
  CHECK(eventually([&] { return waited("s2") > 0 && waited("s0") > 1 && waited("s1") > 1; }));
  CHECK(Clock::now() - began < mark(5s));
  CHECK(ear.unreachable() == 0);
}

TEST_CASE("consul: unregistered services cost one query, however many they are") {
  RealService::Options talkative;
  talkative.args = {"-log-level=debug"};
  const auto consul = start_consul(talkative);
  const auto queries = [&] {
    const std::string all = consul->output();
    std::size_t out = 0;
    for (const char* path : {"url=/v1/health/service/", "url=/v1/catalog/services"})
      for (std::size_t at = all.find(path); at != all.npos; at = all.find(path, at + 1)) ++out;
    return out;
  };
  Api api(consul->address());
  add_service(api, "hello", 1);
  auto hearer = app("dev.w.caller.1", *consul, "wait = \"1s\"\n");
  Ear ear, living;
  hearer->watch(kService, living);
  CHECK(eventually([&] { return living.ids(kService) == Lines{"dev.w.hello.1"}; }));
  const std::size_t before = queries();
  const auto began = Clock::now();
  for (int i = 0; i < 1200; ++i) hearer->watch("dev.w.nonsense" + std::to_string(i), ear);
  CHECK(eventually([&] { return ear.services() == 1200; }));
  CHECK(Clock::now() - began < mark(2s));
  CHECK(ear.lists() == 1200);
  // A living one hears of its changes meanwhile, and a new one of its first instance.
  add_service(api, "hello", 2);
  add_service(api, "nonsense7", 1);
  CHECK(eventually([&] { return living.members(kService).size() == 2; }));
  CHECK(eventually([&] { return ear.ids("dev.w.nonsense7") == Lines{"dev.w.nonsense7.1"}; }));
  api.put("/v1/agent/service/deregister/dev.w.nonsense7.1");
  CHECK(eventually([&] { return ear.ids("dev.w.nonsense7").empty(); }));
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  INFO(queries() - before << " queries in " << seconds << " s");
  CHECK(static_cast<double>(queries() - before) < 10 + 5 * seconds);
}

TEST_CASE("consul: an agent that has only errors of its own is waited for by a start") {
  std::atomic<int> refusals = 0;
  FakeAgent agent([&](const std::string&) {
    return refusals++ < 5 ? FakeAgent::answer(refusals % 2 ? 500 : 503, "No cluster leader")
                          : FakeAgent::answer(200, "[]", "X-Consul-Index: 7\r\n");
  });
  const App patient("dev.w.hello.1", {agent.address().to_string()});
  INFO(patient.started.to_string());
  CHECK(patient.started.is_ok());
  CHECK(refusals >= 6);
  agent.set([](const std::string&) { return FakeAgent::answer(429, "slowly"); });
  const App hurried("dev.w.hello.2", {agent.address().to_string()}, "", 300ms);
  CHECK(hurried.started == Errc::deadline_exceeded);
}

TEST_CASE("consul: an entry that could not be withdrawn is withdrawn when Consul is back") {
  RealService::Options stored;
  stored.keeps_data = true;
  const auto consul = start_consul(stored);
  Api api(consul->address());
  auto one = app("dev.w.hello.1", *consul, "request_timeout = \"500ms\"\n");
  const auto listed = [&] {
    return api.get("/v1/agent/services").find("dev.w.hello.1") != std::string::npos;
  };
  REQUIRE(one->announce(one->self(4711)).is_ok());
  CHECK(listed());
  consul->kill9();
  CHECK(!one->withdraw().is_ok());
  REQUIRE(consul->start_again().is_ok());
  CHECK(eventually([&] { return !listed(); }, mark(10s)));
}
