// SPDX-License-Identifier: BSL-1.0
// The rows about apps that find each other through Consul, on a real agent.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "../service/consul/fake_agent.h"
#include "apps/multi/client.h"
#include "apps/multi/multi_ser.h"
#include "embedded.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"
#include "m3/testing/require_service.h"
#include "process.h"

using m3::as_result;
using m3::Ctx;
using m3::Task;
using m3::testing::eventually;
using m3::testing::RealService;
using m3::testing::require_service;
using multi::Client;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;
using Clock = std::chrono::steady_clock;

const std::string kMulti = "example.world1.multi.";

std::string section(const std::string& agent) {
  return "[router.consul]\naddresses = [\"" + agent + "\"]\n";
}

/// An app of multi in this process, found through Consul alone.
class Multi {
 public:
  Multi(const std::string& ins, const std::string& router, m3::App::Hook health = {}) {
    app_.use_section<multi::Settings>().serve<multi::MultiSer>();
    if (health) app_.health(std::move(health));
    config_.config = "id = \"" + kMulti + ins +
                     "\"\nlisten = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"100ms\"\n" + router;
  }
  m3::Status start() { return app_.start(config_); }
  m3::Status stop() { return app_.stop(); }

 private:
  m3::App app_{"multi"};
  m3::App::Embedding config_;
};

/// Who answers how many of some calls; the error under its name.
std::map<std::string, int> who(seed::Embedded& caller, int times, const m3::Route& route) {
  const auto ask = [&](Ctx& ctx) -> Task<std::map<std::string, int>> {
    Client client(caller.app());
    std::map<std::string, int> by;
    for (int i = 0; i < times; ++i) {
      auto answer = co_await as_result(client.hello(ctx, "Ann", route));
      ++by[answer.is_ok() ? answer->by : answer.status().to_string()];
    }
    co_return by;
  };
  return *caller.run(ask);
}

}  // namespace

TEST_CASE("S08: an app that is not healthy is not found, and is as soon as it is") {
  const auto consul = require_service(RealService::Kind::consul);
  const std::string router = section(consul->address().to_string()) +
                             "check_interval = \"500ms\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
  seed::Embedded caller("caller", "", section(consul->address().to_string()));
  std::atomic<bool> healthy{false}, asked{false};
  Multi app("1", router, [&](Ctx&) -> Task<> {
    asked = true;
    if (!healthy) co_return m3::Status(m3::Errc::unavailable, "the tables are not loaded");
    co_return m3::ok;
  });
  m3::Status started;
  std::thread starting([&] { started = app.start(); });
  const bool was_asked = eventually([&] { return asked.load(); });
  const auto before = who(caller, 3, m3::to::random());
  healthy = true;
  starting.join();
  CHECK(was_asked);
  CHECK(before.size() == 1);
  CHECK(before.begin()->first.starts_with("unavailable"));
  REQUIRE(started.is_ok());
  CHECK(eventually([&] { return who(caller, 1, m3::to::random()).contains(kMulti + "1"); }));

  // Later its health is asked for by Consul, and two others take over while it is bad.
  Multi two("2", router), three("3", router);
  REQUIRE(two.start().is_ok());
  REQUIRE(three.start().is_ok());
  CHECK(eventually([&] { return who(caller, 60, m3::to::random()).size() == 3; }));
  healthy = false;
  CHECK(eventually([&] { return !who(caller, 60, m3::to::random()).contains(kMulti + "1"); }));
  healthy = true;
  CHECK(eventually([&] { return who(caller, 60, m3::to::random()).contains(kMulti + "1"); }));
  for (Multi* one : {&app, &two, &three}) REQUIRE(one->stop().is_ok());
}

TEST_CASE("S12: rules and pickers work over Consul, and changes are pushed") {
  const auto consul = require_service(RealService::Kind::consul);
  const std::string router = section(consul->address().to_string());
  seed::Embedded caller("caller", "", router);
  Multi two("2", router), nine("9", router), ten("10", router);
  REQUIRE(nine.start().is_ok());
  REQUIRE(ten.start().is_ok());
  CHECK(eventually([&] { return who(caller, 40, m3::to::random()).size() == 2; }));
  CHECK(who(caller, 5, m3::to::single()) == std::map<std::string, int>{{kMulti + "9", 5}});
  const auto owner = who(caller, 5, m3::to::hash("Ann"));
  CHECK(owner.size() == 1);
  CHECK(who(caller, 5, m3::to::hash("Ann")) == owner);
  const auto named = m3::to::app(*m3::AppId::parse(kMulti + "10"));
  CHECK(who(caller, 5, named) == std::map<std::string, int>{{kMulti + "10", 5}});
  // m3game asked once a second; here a change comes by itself (three times the mark of 1 s).
  REQUIRE(two.start().is_ok());
  CHECK(eventually([&] { return who(caller, 1, m3::to::single()).contains(kMulti + "2"); }, 3s));
  REQUIRE(two.stop().is_ok());
  CHECK(who(caller, 5, m3::to::single()) == std::map<std::string, int>{{kMulti + "9", 5}});
  REQUIRE(nine.stop().is_ok());
  REQUIRE(ten.stop().is_ok());
}

TEST_CASE("S19: processes register in Consul, are discovered, and are gone when they leave") {
  const auto consul = require_service(RealService::Kind::consul);
  const auto redis = require_service(RealService::Kind::redis);
  const std::string services = section(consul->address().to_string()) +
                               "[broker.redis]\naddress = \"" + redis->address().to_string() +
                               "\"\n";
  const std::string all = "listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"100ms\"\n" +
                          services + "[app]\ntopics = [\"news\"]\n";
  const seed::TempFile config(all);
  const auto launch = [&](const char* ins) {
    return std::make_unique<seed::Process>(
        Lines{seed::multi_program(), "-idstr", kMulti + ins, "-conf", config.path()});
  };
  auto one = launch("1"), two = launch("2");
  seed::Embedded caller("caller", "", services);
  CHECK(eventually([&] {
    auto by = who(caller, 20, m3::to::random());
    return by.size() == 2 && by.contains(kMulti + "1") && by.contains(kMulti + "2");
  }));
  // The broker is another plugin, chosen beside this one.
  const auto tell = [&](Ctx& ctx) -> Task<> {
    Client client(caller.app());
    co_await client.tell(ctx, "news", "it rains");
    co_return m3::ok;
  };
  REQUIRE(caller.run(tell).is_ok());
  for (const char* ins : {"1", "2"}) {
    const auto heard = [&](Ctx& ctx) -> Task<Lines> {
      Client client(caller.app());
      co_return co_await client.heard(ctx, *m3::AppId::parse(kMulti + ins));
    };
    CHECK(eventually([&] {
      auto lines = caller.run(heard);
      return lines.is_ok() && *lines == Lines{"example.world1.caller.1 tells: it rains"};
    }));
  }
  two->signal(SIGTERM);
  CHECK(two->wait() == 0);
  CHECK(who(caller, 10, m3::to::random()) == std::map<std::string, int>{{kMulti + "1", 10}});
  one->signal(SIGTERM);
  CHECK(one->wait() == 0);
  CHECK(who(caller, 1, m3::to::random()).begin()->first.starts_with("unavailable"));
}

TEST_CASE("U4: Consul's HTTP is spoken by m3 itself, to whoever answers like an agent") {
  std::mutex mutex;
  std::string registered;
  Lines asked;
  consul_test::FakeAgent agent([&](const std::string& request) {
    const std::lock_guard lock(mutex);
    asked.push_back(request.substr(0, request.find("\r\n")));
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    if (request.starts_with("PUT /v1/agent/service/register")) registered = body;
    if (request.starts_with("PUT /v1/agent/service/deregister")) registered.clear();
    if (request.starts_with("GET /v1/agent/service/"))
      return consul_test::FakeAgent::answer(registered.empty() ? 404 : 200, registered);
    const std::string entry = R"({"Node": {"Node": "n"}, "Service": )" + registered + "}";
    return consul_test::FakeAgent::answer(200, "[" + (registered.empty() ? "" : entry) + "]",
                                          "X-Consul-Index: 7\r\n");
  });
  Multi app("1", section(agent.address().to_string()));
  const m3::Status started = app.start();
  INFO(started.to_string());
  REQUIRE(started.is_ok());
  REQUIRE(app.stop().is_ok());
  const std::lock_guard lock(mutex);
  for (const char* line : {"GET /v1/health/service/m3-example-world1-multi HTTP/1.1",
                           "PUT /v1/agent/service/register?replace-existing-checks=true HTTP/1.1",
                           "PUT /v1/agent/service/deregister/example.world1.multi.1 HTTP/1.1"}) {
    INFO(line);
    CHECK(std::count(asked.begin(), asked.end(), line) >= 1);
  }
}
