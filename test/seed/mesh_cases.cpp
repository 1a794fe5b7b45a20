// SPDX-License-Identifier: BSL-1.0
// The rows about finding and choosing apps, played by apps/multi in this process.
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "apps/multi/client.h"
#include "apps/multi/multi_ser.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/mesh/topics.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"

using m3::as_result;
using m3::Ctx;
using m3::Status;
using m3::Task;
using m3::testing::eventually;
using multi::Client;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

/// Apps of one process that share their parts, and a caller.
class Town {
 public:
  Town() { REQUIRE(caller_.start(with("example.world1.caller.1", "cores = 1\n")).is_ok()); }
  ~Town() {
    (void)caller_.stop();
    for (auto& [id, app] : apps_) (void)app->stop();
  }
  m3::App& start(const std::string& id, const std::string& more = "") {
    auto app = std::make_unique<m3::App>("multi");
    app->use_section<multi::Settings>().serve<multi::MultiSer>();
    return start(id, std::move(app), more);
  }
  m3::App& start(const std::string& id, std::unique_ptr<m3::App> app,
                 const std::string& more = "") {
    const Status status =
        app->start(with(id, "listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"20ms\"\n" + more));
    INFO(status.to_string());
    REQUIRE(status.is_ok());
    return *(apps_[id] = std::move(app));
  }
  void stop(const std::string& id) {
    REQUIRE(apps_.at(id)->stop().is_ok());
    apps_.erase(id);
  }
  /// body(Ctx&, App& caller) on the caller's core; its value.
  template <class Body>
  auto run(Body body) {
    return run_on(caller_, body);
  }
  template <class Body>
  auto run_on(m3::App& app, Body body) {
    auto done = app.block_on([&](Ctx& ctx) { return body(ctx, app); });
    INFO(done.status().to_string());
    REQUIRE(done.is_ok());
    if constexpr (!std::is_void_v<typename decltype(done)::value_type>) return *std::move(done);
  }
  /// Who answers `times` calls.
  std::map<std::string, int> who(int times, m3::Route route) {
    return run([&](Ctx& ctx, m3::App& app) { return ask(ctx, app, times, route); });
  }
  Lines heard(const std::string& id) {
    const auto whom = *m3::AppId::parse(id);
    return run([&](Ctx& ctx, m3::App& app) { return listen(ctx, app, whom); });
  }

 private:
  static Task<std::map<std::string, int>> ask(Ctx& ctx, m3::App& app, int times, m3::Route route) {
    Client client(app);
    std::map<std::string, int> by;
    for (int i = 0; i < times; ++i) {
      auto greeting = co_await as_result(client.hello(ctx, "Ann", route));
      ++by[greeting.is_ok() ? greeting->by : greeting.status().to_string()];
    }
    co_return by;
  }
  static Task<Lines> listen(Ctx& ctx, m3::App& app, const m3::AppId& whom) {
    Client client(app);
    co_return co_await client.heard(ctx, whom);
  }
  m3::App::Embedding with(const std::string& id, std::string config) {
    m3::App::Embedding out;
    out.id = *m3::AppId::parse(id);
    out.config = std::move(config);
    out.shared = shared_;
    return out;
  }
  std::shared_ptr<m3::SharedParts> shared_ = std::make_shared<m3::SharedParts>();
  std::map<std::string, std::unique_ptr<m3::App>> apps_;
  m3::App caller_{"caller"};
};

Task<> shout(Ctx& ctx, m3::App& app, std::string text) {
  Client client(app);
  co_await client.shout(ctx, std::move(text));
  co_return m3::ok;
}

Task<> tell(Ctx& ctx, m3::App& app, std::string topic, std::string text) {
  Client client(app);
  co_await client.tell(ctx, std::move(topic), std::move(text));
  co_return m3::ok;
}

Task<> leave(Ctx& ctx, m3::App&, std::string topic) {
  co_await m3::topics(ctx).leave(std::move(topic));
  co_return m3::ok;
}

/// Every handler waits until kGuests of them run.
class Crowd final : public proto::MultiSerService {
 public:
  static constexpr int kGuests = 50;
  Task<proto::Hello_Rsp> hello(Ctx& ctx, const proto::Hello_Req& req) override {
    ++inside_;
    while (inside_ < kGuests) co_await m3::sleep(ctx, 1ms);
    proto::Hello_Rsp rsp;
    rsp.set_rsp("Hello , " + req.req());
    co_return rsp;
  }
  Task<proto::TraceHello_Rsp> trace_hello(Ctx&, const proto::TraceHello_Req&) override {
    co_return proto::TraceHello_Rsp();
  }
  Task<proto::BreakHello_Rsp> break_hello(Ctx&, const proto::BreakHello_Req&) override {
    co_return proto::BreakHello_Rsp();
  }
  Task<> shout(Ctx&, const proto::Shout_Req&) override { co_return m3::ok; }
  Task<> tell(Ctx&, const proto::Tell_Req&) override { co_return m3::ok; }
  Task<proto::Heard_Rsp> heard(Ctx&, const proto::Heard_Req&) override {
    co_return proto::Heard_Rsp();
  }

 private:
  int inside_ = 0;  // one core
};

const std::string kMulti = "example.world1.multi.";

}  // namespace

TEST_CASE("S11: a one-way notify reaches many, through the same handlers, with a time limit") {
  Town town;
  m3::App& one = town.start(kMulti + "1", "broadcast_timeout = \"2s\"\n");
  town.start(kMulti + "2");
  CHECK(one.config().broadcast_timeout == 2s);
  town.run([](Ctx& ctx, m3::App& app) { return shout(ctx, app, "to all"); });
  const Lines wanted{"example.world1.caller.1 shouts: to all"};
  for (const char* ins : {"1", "2"})
    CHECK(eventually([&] { return town.heard(kMulti + ins) == wanted; }));
}

TEST_CASE("S12: the mesh's pickers work on the router's list, and changes are pushed to it") {
  Town town;
  CHECK(town.who(1, m3::to::random()).begin()->first.starts_with("unavailable: "));
  town.start(kMulti + "1");
  CHECK(eventually([&] { return town.who(1, m3::to::random()).contains(kMulti + "1"); }));
  town.start(kMulti + "2");
  CHECK(eventually([&] { return town.who(20, m3::to::random()).size() == 2; }));
  town.stop(kMulti + "1");
  CHECK(town.who(20, m3::to::random()) == std::map<std::string, int>{{kMulti + "2", 20}});
}

TEST_CASE("S13: P2P goes to the app that is named, in any world") {
  Town town;
  for (const char* ins : {"1", "2"}) town.start(kMulti + ins);
  town.start("example.world2.multi.1");
  CHECK(town.who(5, m3::to::app(kMulti + "2")) == std::map<std::string, int>{{kMulti + "2", 5}});
  CHECK(town.who(5, m3::to::app("example.world2.multi.1")) ==
        std::map<std::string, int>{{"example.world2.multi.1", 5}});
  CHECK(town.who(1, m3::to::app(kMulti + "3")).begin()->first ==
        "unavailable: no instance of the app example.world1.multi.3 is known");
}

TEST_CASE("S14: Random spreads over all instances") {
  Town town;
  for (const char* ins : {"1", "2", "3"}) town.start(kMulti + ins);
  CHECK(eventually([&] { return town.who(30, m3::to::random()).size() == 3; }));
  for (const auto& [id, count] : town.who(300, m3::to::random())) CHECK(count > 50);
}

TEST_CASE(
    "S15: Hash gives a key to one instance, for every caller, and moves few when one leaves") {
  Town town;
  for (const char* ins : {"1", "2", "3"}) town.start(kMulti + ins);
  CHECK(eventually([&] { return town.who(30, m3::to::random()).size() == 3; }));
  m3::App& other = town.start(kMulti + "4");
  const auto owner_of = [&](m3::App* from, const std::string& key) {
    const auto ask = [&](Ctx& ctx, m3::App& app) -> Task<std::string> {
      Client client(app);
      co_return (co_await client.hello(ctx, "Ann", m3::to::hash(key))).by;
    };
    return from ? town.run_on(*from, ask) : town.run(ask);
  };
  CHECK(eventually([&] { return town.who(60, m3::to::random()).size() == 4; }));
  std::map<std::string, std::string> before;
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i);
    before[key] = owner_of(nullptr, key);
    REQUIRE(owner_of(&other, key) == before[key]);
  }
  town.stop(kMulti + "2");
  for (const auto& [key, owner] : before)
    if (owner != kMulti + "2") REQUIRE(owner_of(nullptr, key) == owner);
}

TEST_CASE("S16: BroadCast reaches every instance of the service, and nobody else") {
  Town town;
  for (const char* ins : {"1", "2", "3"}) town.start(kMulti + ins);
  town.start("example.world2.multi.1");
  for (const char* text : {"a", "b", "c"})
    town.run([&](Ctx& ctx, m3::App& app) { return shout(ctx, app, text); });
  const std::string says = "example.world1.caller.1 shouts: ";
  const Lines wanted{says + "a", says + "b", says + "c"};
  for (const char* ins : {"1", "2", "3"})
    CHECK(eventually([&] { return town.heard(kMulti + ins) == wanted; }));
  CHECK(town.heard("example.world2.multi.1").empty());
}

TEST_CASE("S17: MultiCast reaches the subscribers of a topic, as long as they are") {
  Town town;
  const std::string joins = "[app]\ntopics = [\"guild.7\"]\n";
  town.start(kMulti + "1", joins);
  town.start(kMulti + "2");
  m3::App& three = town.start(kMulti + "3", joins);
  const auto tell_all = [&](const char* text) {
    town.run([&](Ctx& ctx, m3::App& app) { return tell(ctx, app, "guild.7", text); });
  };
  tell_all("a");
  const std::string says = "example.world1.caller.1 tells: ";
  for (const char* ins : {"1", "3"})
    CHECK(eventually([&] { return town.heard(kMulti + ins) == Lines{says + "a"}; }));
  town.run_on(three, [](Ctx& ctx, m3::App& app) { return leave(ctx, app, "guild.7"); });
  tell_all("b");
  CHECK(eventually([&] { return town.heard(kMulti + "1") == Lines{says + "a", says + "b"}; }));
  CHECK(town.heard(kMulti + "2").empty());
  CHECK(town.heard(kMulti + "3") == Lines{says + "a"});
}

TEST_CASE("S18: Single goes to the lowest instance, and all callers agree, late starters too") {
  Town town;
  for (const char* ins : {"10", "9"}) town.start(kMulti + ins);
  CHECK(eventually([&] { return town.who(20, m3::to::random()).size() == 2; }));
  CHECK(town.who(5, m3::to::single()) == std::map<std::string, int>{{kMulti + "9", 5}});
  m3::App& late = town.start(kMulti + "2");
  CHECK(eventually([&] { return town.who(1, m3::to::single()).contains(kMulti + "2"); }));
  const auto ask = [&](Ctx& ctx, m3::App& app) -> Task<std::string> {
    Client client(app);
    co_return (co_await client.hello(ctx, "Ann", m3::to::single())).by;
  };
  CHECK(town.run_on(late, ask) == kMulti + "2");
  town.stop(kMulti + "2");
  CHECK(town.who(5, m3::to::single()) == std::map<std::string, int>{{kMulti + "9", 5}});
}

TEST_CASE("S22: multi answers concurrently") {
  Town town;
  auto app = std::make_unique<m3::App>("multi");
  app->serve<Crowd>();
  town.start(kMulti + "1", std::move(app));
  const auto all_at_once = [](Ctx& ctx, m3::App& caller) -> Task<int> {
    std::vector<Task<Client::Greeting>> calls;
    Client client(caller);
    for (int i = 0; i < Crowd::kGuests; ++i)
      calls.push_back(client.hello(ctx, "Ann", m3::to::random()));
    const auto greetings = co_await m3::when_all(ctx.core(), std::move(calls));
    co_return static_cast<int>(greetings.size());
  };
  CHECK(town.run(all_at_once) == Crowd::kGuests);
}

TEST_CASE("S22: multi greets, and game clients as such") {
  Town town;
  town.start(kMulti + "1");
  const auto greet = [](Ctx& ctx, m3::App& app) -> Task<Lines> {
    proto::MultiSerClient client(app, m3::func("multi"));
    proto::Hello_Req hello;
    hello.set_req("Ann");
    proto::TraceHello_Req trace;
    trace.set_req("Bob");
    proto::BreakHello_Req broken;
    broken.set_req("Cid");
    Lines out;
    const auto first = co_await client.hello(ctx, hello, m3::to::random());
    out.push_back(first.rsp());
    const auto second = co_await client.trace_hello(ctx, trace);
    out.push_back(second.rsp());
    const auto third = co_await client.break_hello(ctx, broken);
    out.push_back(third.rsp());
    if (Status set = ctx.set_outgoing_meta("client", "7"); !set) co_return set;
    const auto fourth = co_await client.hello(ctx, hello, m3::to::random());
    out.push_back(fourth.rsp());
    co_return out;
  };
  CHECK(town.run(greet) ==
        Lines{"Hello , Ann", "Hello , Bob", "Hello , Cid", "Hello Client , Ann"});
}
