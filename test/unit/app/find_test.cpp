// SPDX-License-Identifier: BSL-1.0
// Apps that find each other: the router's list, operators' states, coming and going.
#include <algorithm>
#include <map>

#include "app_fixture.h"
#include "m3/admin.m3.h"
#include "m3/async/scope.h"
#include "m3/mesh/topics.h"
#include "m3/plugin/router.h"

using app_test::Answer;
using app_test::contains;
using app_test::Names;
using app_test::Question;
using app_test::Talk;
using app_test::TalkClient;
using app_test::World;
using m3::App;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;
using namespace std::chrono_literals;

namespace {

/// Apps of one process that share what is known.
struct Town : World {
  explicit Town(m3::testing::SimRuntime& runtime) : World(runtime) {}
  App::Embedding house(const std::string& id, const std::string& config) {
    return net.embedding(id, config);
  }
};

struct TalkApp {
  TalkApp() : app("talk") { app.serve<Talk>(std::make_shared<Names>()); }
  App app;
};

std::string at(int port, const std::string& more = "") {
  return "listen = \"sim:" + std::to_string(port) + "\"\ndrain_wait = \"1s\"\n" + more;
}

/// Who answered, or the error.
Task<std::string> ask(Ctx& ctx, App& from, m3::Route route = {}) {
  TalkClient client(from);
  Question req;
  req.set_text("hi");
  auto answer = co_await as_result(client.ask(ctx, req, std::move(route)));
  co_return answer.is_ok() ? answer->by() : answer.status().to_string();
}

Task<std::map<std::string, int>> ask_many(Ctx& ctx, App& from, int count) {
  std::map<std::string, int> out;
  for (int i = 0; i < count; ++i) {
    ++out[co_await ask(ctx, from)];
  }
  co_return out;
}

Task<m3::admin::MemberState> set_state(Ctx& ctx, App& from, const std::string& id,
                                       m3::admin::MemberState state) {
  const auto app = *m3::AppId::parse(id);
  m3::admin::SetStateReq req;
  req.set_state(state);
  m3::admin::SetStateRsp rsp;
  const m3::ServiceId service = app.service_id();
  co_await m3::CallOp(from.caller(), ctx, service, m3::admin::ControlService::kSetState, req, &rsp,
                      m3::to::app(app));
  co_return rsp.before();
}

}  // namespace

CO_TEST("app: those of one process find each other once they are ready") {
  Town town(sim);
  App caller("caller");
  TalkApp one, two;
  co_await caller.start(ctx, town.house("dev.w.caller.1", ""));
  CHECK(contains(co_await ask(ctx, caller), "no instance of dev.w.talk is known"));
  co_await one.app.start(ctx, town.house("dev.w.talk.1", at(1)));
  co_await two.app.start(ctx, town.house("dev.w.talk.2", at(2)));
  co_await m3::sleep(ctx, 1ms);
  const auto both = co_await ask_many(ctx, caller, 100);
  CHECK((both.size() == 2 && both.contains("dev.w.talk.1") && both.contains("dev.w.talk.2")));
  // Another process, or a test, that does not share it.
  App stranger("caller");
  co_await stranger.start(ctx, town.embedding("dev.w.caller.2", ""));
  CHECK(contains(co_await ask(ctx, stranger), "no instance of dev.w.talk is known"));
  co_await stranger.stop(ctx);
  co_await two.app.stop(ctx);
  CHECK((co_await ask_many(ctx, caller, 20)) == std::map<std::string, int>{{"dev.w.talk.1", 20}});
  co_await one.app.stop(ctx);
  CHECK(contains(co_await ask(ctx, caller), "no instance of dev.w.talk is known"));
  co_await caller.stop(ctx);
}

CO_TEST("app: one that stops under load loses no call") {
  Town town(sim);
  App caller("caller");
  TalkApp one, two;
  co_await caller.start(ctx, town.house("dev.w.caller.1", ""));
  co_await one.app.start(ctx, town.house("dev.w.talk.1", at(1)));
  co_await two.app.start(ctx, town.house("dev.w.talk.2", at(2)));
  struct Load {
    static Task<> run(Ctx& ctx, App& from, bool& over, int& good, Names& bad) {
      TalkClient client(from);
      Question req;
      req.set_wait_ms(3);
      while (!over) {
        auto answer = co_await as_result(client.ask(ctx, req));
        if (answer.is_ok())
          ++good;
        else
          bad.push_back(answer.status().to_string());
      }
      co_return m3::ok;
    }
  };
  bool over = false;
  int good = 0;
  Names bad;
  m3::Scope scope(ctx.core(), &caller);
  for (int i = 0; i < 20; ++i)
    scope.spawn("load", [&](Ctx& c) { return Load::run(c, caller, over, good, bad); });
  co_await m3::sleep(ctx, 500ms);
  const m3::TimePoint began = ctx.core().now();
  co_await two.app.stop(ctx);
  CHECK(ctx.core().now() - began >= 1s);  // drain_wait
  co_await m3::sleep(ctx, 500ms);
  over = true;
  co_await m3::sleep(ctx, 50ms);
  co_await scope.close(ctx);
  INFO((bad.empty() ? "" : bad.front()));
  CHECK(bad.empty());
  CHECK(good > 1000);
  co_await one.app.stop(ctx);
  co_await caller.stop(ctx);
}

CO_TEST("app: the second of one id refuses to start, and says where the first is") {
  Town town(sim);
  TalkApp one, two, three;
  co_await one.app.start(ctx, town.house("dev.w.talk.1", at(1)));
  co_await m3::sleep(ctx, 5ms);
  auto second = co_await as_result(two.app.start(ctx, town.house("dev.w.talk.1", at(2))));
  CHECK(second.status() == Errc::already_exists);
  CHECK(contains(second.status().text(), "dev.w.talk.1 is already running at sim:1"));
  // One that is gone without a word is replaced.
  town.wire.unlisten({"sim", 1});
  town.wire.cut_all();
  co_await three.app.start(ctx, town.house("dev.w.talk.1", at(3)));
  co_await three.app.stop(ctx);
  co_await one.app.stop(ctx);
}

CO_TEST("app: only an operator changes the state of an app that asks for one") {
  using namespace m3::admin;  // NOLINT(google-build-using-namespace): the states
  Town town(sim);
  const std::string peers = "[router.static]\npeers = [\"dev.w.talk.1@sim:1\"]\n";
  const auto tokens = [&](const std::string& own, const std::string& more) {
    return "[rpc]\ntoken = \"" + own + "\"\n" + more + peers;
  };
  const std::string operators = "operator_token = \"of-the-people-who-run-it\"\n";
  TalkApp one;
  App friendly("caller"), person("caller");
  co_await one.app.start(
      ctx, town.embedding("dev.w.talk.1", at(1, tokens("of-all-the-apps-in-it", operators))));
  co_await friendly.start(
      ctx, town.embedding("dev.w.caller.1", tokens("of-all-the-apps-in-it", operators)));
  co_await person.start(ctx,
                        town.embedding("dev.w.caller.2", tokens("of-the-people-who-run-it", "")));
  CHECK((co_await ask_many(ctx, friendly, 3)).size() == 1);
  auto refused =
      co_await as_result(set_state(ctx, friendly, "dev.w.talk.1", MEMBER_STATE_DRAINING));
  CHECK(refused.status() == Errc::permission_denied);
  CHECK(contains(refused.status().text(), "rpc.operator_token"));
  CHECK(co_await set_state(ctx, person, "dev.w.talk.1", MEMBER_STATE_DRAINING) ==
        MEMBER_STATE_SERVING);
  for (App* app : {&friendly, &person, &one.app}) co_await app->stop(ctx);
}

CO_TEST("app: a drained one gets no new calls until it is called back") {
  using namespace m3::admin;  // NOLINT(google-build-using-namespace): the states
  for (const bool shared : {true, false}) {
    Town town(sim);
    App caller("caller");
    TalkApp one, two;
    const auto house = [&](const std::string& id, const std::string& config) {
      return shared ? town.house(id, config) : town.embedding(id, config);
    };
    const std::string peers =
        shared ? "" : "[router.static]\npeers = [\"dev.w.talk.1@sim:1\", \"dev.w.talk.2@sim:2\"]\n";
    co_await one.app.start(ctx, house("dev.w.talk.1", at(1, peers)));
    co_await two.app.start(ctx, house("dev.w.talk.2", at(2, peers)));
    co_await caller.start(ctx, house("dev.w.caller.1", peers));
    CHECK((co_await ask_many(ctx, caller, 100)).size() == 2);
    CHECK(co_await set_state(ctx, caller, "dev.w.talk.1", MEMBER_STATE_DRAINING) ==
          MEMBER_STATE_SERVING);
    co_await m3::sleep(ctx, 10ms);
    for (int round = 0; round < 5; ++round) {
      CHECK((co_await ask_many(ctx, caller, 20)) ==
            std::map<std::string, int>{{"dev.w.talk.2", 20}});
      co_await m3::sleep(ctx, 1s);
    }
    CHECK(co_await ask(ctx, caller, m3::to::app("dev.w.talk.1")) == "dev.w.talk.1");
    CHECK(co_await set_state(ctx, caller, "dev.w.talk.1", MEMBER_STATE_SERVING) ==
          MEMBER_STATE_DRAINING);
    for (int round = 0; round < 3; ++round) {
      (void)co_await ask_many(ctx, caller, 20);
      co_await m3::sleep(ctx, 1s);
    }
    CHECK((co_await ask_many(ctx, caller, 100)).size() == 2);
    auto cordoned =
        co_await as_result(set_state(ctx, caller, "dev.w.talk.1", MEMBER_STATE_CORDONED));
    CHECK(cordoned.is_ok() == shared);
    if (shared) {
      CHECK((co_await ask_many(ctx, caller, 20)) ==
            std::map<std::string, int>{{"dev.w.talk.2", 20}});
    } else {
      CHECK(contains(cordoned.status().text(), "only draining keeps callers away"));
    }
    auto wrong = co_await as_result(
        set_state(ctx, caller, "dev.w.talk.1", static_cast<m3::admin::MemberState>(7)));
    CHECK(wrong.status() == Errc::invalid_argument);
    for (App* app : {&caller, &one.app, &two.app}) co_await app->stop(ctx);
  }
}

CO_TEST("app: one that calls its own service gets its share of the calls") {
  Town town(sim);
  TalkApp one, two;
  co_await one.app.start(ctx, town.house("dev.w.talk.1", at(1)));
  co_await two.app.start(ctx, town.house("dev.w.talk.2", at(2)));
  CHECK(co_await ask(ctx, one.app, m3::to::app("dev.w.talk.2")) == "dev.w.talk.2");
  // To the other one there is a connection now; to itself it needs none.
  auto by = co_await ask_many(ctx, one.app, 200);
  CHECK(by["dev.w.talk.1"] > 60);
  CHECK(by["dev.w.talk.2"] > 60);
  for (App* app : {&one.app, &two.app}) co_await app->stop(ctx);
}

CO_TEST("app: one whose health() fails gets no calls by choice, whatever router finds it") {
  for (const bool shared : {true, false}) {
    Town town(sim);
    App caller("caller");
    TalkApp one, two;
    bool healthy = true;
    one.app.health([&healthy](Ctx&) -> Task<> {
      if (!healthy) co_return Status(Errc::unavailable, "the tables are gone");
      co_return m3::ok;
    });
    const auto house = [&](const std::string& id, const std::string& config) {
      return shared ? town.house(id, config) : town.embedding(id, config);
    };
    const std::string peers =
        shared ? "" : "[router.static]\npeers = [\"dev.w.talk.1@sim:1\", \"dev.w.talk.2@sim:2\"]\n";
    co_await one.app.start(ctx, house("dev.w.talk.1", at(1, peers)));
    co_await two.app.start(ctx, house("dev.w.talk.2", at(2, peers)));
    co_await caller.start(ctx, house("dev.w.caller.1", peers));
    // Once a second, so that pings say how they are.
    const auto asked = [&](int seconds) -> Task<std::map<std::string, int>> {
      std::map<std::string, int> by;
      for (int i = 0; i < seconds; ++i) {
        by = co_await ask_many(ctx, caller, 50);
        co_await m3::sleep(ctx, 1s);
      }
      co_return by;
    };
    CHECK((co_await asked(1)).size() == 2);
    healthy = false;
    co_await m3::sleep(ctx, 2s);  // one failure is none
    healthy = true;
    CHECK((co_await asked(3)).size() == 2);
    healthy = false;
    CHECK((co_await asked(8)) == std::map<std::string, int>{{"dev.w.talk.2", 50}});
    healthy = true;
    CHECK((co_await asked(6)).size() == 2);
    for (App* app : {&caller, &one.app, &two.app}) co_await app->stop(ctx);
  }
}

CO_TEST("app: an address that others cannot use is not announced") {
  Town town(sim);
  TalkApp one, two, three;
  const std::string everywhere = "listen = \"0.0.0.0:1\"\ndrain_wait = \"0s\"\n";
  auto lost = co_await as_result(
      one.app.start(ctx, town.embedding("dev.w.talk.1", everywhere + "[router.static]\n")));
  CHECK(contains(lost.status().text(), "write advertise = \"HOST:0\""));
  co_await two.app.start(
      ctx, town.embedding("dev.w.talk.2",
                          everywhere + "advertise = \"sim:0\"\n[router.static]\npeers = []\n"));
  co_await two.app.stop(ctx);
  co_await three.app.start(ctx, town.house("dev.w.talk.3", everywhere));  // only this process
  co_await three.app.stop(ctx);
}

CO_TEST("app: a weight that changes is announced") {
  Town town(sim);
  App caller("caller");
  TalkApp one, two;
  app_test::ConfigFile file(at(1));
  auto house = town.house("dev.w.talk.1", "");
  house.config_file = file.path();
  co_await one.app.start(ctx, house);
  co_await two.app.start(ctx, town.house("dev.w.talk.2", at(2)));
  co_await caller.start(ctx, town.house("dev.w.caller.1", ""));
  file.write("weight = 0\n" + at(1));
  co_await one.app.reload(ctx);
  co_await m3::sleep(ctx, 1ms);
  CHECK((co_await ask_many(ctx, caller, 50)) == std::map<std::string, int>{{"dev.w.talk.2", 50}});
  for (App* app : {&caller, &one.app, &two.app}) co_await app->stop(ctx);
}

CO_TEST("app: it announces its version, lane and strictest placement") {
  Town town(sim);
  App looker("looker");
  TalkApp one, two;
  one.app.version("1.2").serve<app_test::CounterOf>(7u);
  co_await one.app.start(ctx, town.house("dev.w.talk.1", "lane = \"grey\"\n" + at(1)));
  co_await two.app.start(ctx, town.house("dev.w.talk.2", at(2)));
  co_await looker.start(ctx, town.house("dev.w.looker.1", ""));
  Task<std::vector<m3::Member>> asked =
      looker.find<m3::Router>()->members(ctx, one.app.app_id().service_id());
  std::map<std::string, m3::Member> seen;
  for (const m3::Member& member : co_await std::move(asked)) seen[member.id.to_string()] = member;
  CHECK(seen["dev.w.talk.1"].version == "1.2");
  CHECK(seen["dev.w.talk.1"].lane == "grey");
  CHECK(seen["dev.w.talk.1"].placement == "resident_dynamic");
  CHECK(seen["dev.w.talk.2"].lane.empty());
  CHECK(seen["dev.w.talk.2"].placement == "stateless");
  App wrong("talk");
  auto refused = co_await as_result(
      wrong.start(ctx, town.house("dev.w.talk.3", "lane = \"grey zone\"\n" + at(3))));
  CHECK(contains(refused.status().text(), "a lane is 1 to 63 letters"));
  for (App* app : {&looker, &one.app, &two.app}) co_await app->stop(ctx);
}

namespace {

/// Hears what is shouted.
class Ear final : public app_test::ShoutService {
 public:
  Ear(m3::App& app, app_test::Diary diary) : app_(app), diary_(std::move(diary)) {}
  Task<> aloud(Ctx& ctx, const app_test::Cry& cry) override {
    diary_->push_back(app_.app_id().to_string() + " heard " + cry.text() + " from " +
                      std::string(ctx.caller()));
    co_return m3::ok;
  }

 private:
  m3::App& app_;
  app_test::Diary diary_;
};

Task<> shout(Ctx& ctx, App& from, std::string text, m3::NotifyRoute route) {
  app_test::ShoutClient client(from);
  app_test::Cry cry;
  cry.set_text(std::move(text));
  co_await client.aloud(ctx, cry, std::move(route));
  co_return m3::ok;
}

}  // namespace

CO_TEST("app: broadcasts reach every instance, and topics the instances that joined") {
  for (const bool shared : {true, false}) {
    Town town(sim);
    auto diary = std::make_shared<Names>();
    App caller("caller"), one("shout"), two("shout");
    one.serve<Ear>(diary);
    two.serve<Ear>(diary);
    struct Join {
      static Task<> run(Ctx& ctx) {
        co_await m3::topics(ctx).join("news");
        co_return m3::ok;
      }
    };
    if (shared) two.on_start([](Ctx& c) { return Join::run(c); });
    const std::string peers =
        shared ? ""
               : "[router.static]\npeers = [\"dev.w.shout.1@sim:1\", \"dev.w.shout.2@sim:2\"]\n";
    const auto house = [&](const std::string& id, const std::string& config) {
      return shared ? town.house(id, config) : town.embedding(id, config);
    };
    co_await one.start(ctx, house("dev.w.shout.1", at(1, peers)));
    co_await two.start(ctx, house("dev.w.shout.2", at(2, peers)));
    co_await caller.start(ctx, house("dev.w.caller.1", peers));
    CHECK((co_await as_result(shout(ctx, caller, "hi", m3::to::all()))).is_ok());
    co_await m3::sleep(ctx, 20ms);
    std::sort(diary->begin(), diary->end());
    CHECK(*diary == Names{"dev.w.shout.1 heard hi from dev.w.caller.1",
                          "dev.w.shout.2 heard hi from dev.w.caller.1"});
    diary->clear();
    auto topic = co_await as_result(shout(ctx, caller, "psst", m3::to::topic("news")));
    co_await m3::sleep(ctx, 20ms);
    if (shared) {
      CHECK(topic.is_ok());
      CHECK(*diary == Names{"dev.w.shout.2 heard psst from dev.w.caller.1"});
    } else {
      CHECK(contains(topic.status().text(), "add a section [broker.redis]"));
    }
    for (App* app : {&caller, &one, &two}) co_await app->stop(ctx);
  }
}

CO_TEST("app: a local broker beside a router that finds others is refused") {
  Town town(sim);
  TalkApp one;
  auto started = co_await as_result(one.app.start(
      ctx, town.embedding("dev.w.talk.1", at(1, "[router.static]\n[broker.local]\n"))));
  CHECK(contains(started.status().text(), "[broker.local] reaches only the apps of this process"));
}
