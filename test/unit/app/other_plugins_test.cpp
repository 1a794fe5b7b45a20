// SPDX-License-Identifier: BSL-1.0
// Apps over a router and a broker that are not m3's: what they refuse, and what they carry.
#include <map>
#include <string>
#include <vector>

#include "app_fixture.h"
#include "m3/admin.m3.h"
#include "m3/plugin/broker.h"
#include "m3/plugin/router.h"

using namespace app_test;
using m3::App;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Member;
using m3::Status;
using m3::Task;
using namespace std::chrono_literals;

namespace {

/// Tells nobody, writes down what it is told, and refuses it when the test wants that.
class MoodyRouter final : public m3::Router {
 public:
  static constexpr std::string_view kName = "moody";
  static constexpr int kStage = 35;
  struct Config {
    static void describe(m3::Schema<Config>&) {}
  };
  MoodyRouter(m3::Env&, const Config&) {}

  bool reaches_other_processes() const override { return true; }
  Task<> announce(Ctx&, Member self) override {
    if (refuses) co_return Status(Errc::unavailable, "not now");
    announced.push_back(std::string(m3::member_state_name(self.state)) + " " +
                        std::to_string(self.weight));
    co_return m3::ok;
  }
  Task<> withdraw(Ctx&) override { co_return m3::ok; }
  void watch(const m3::ServiceId&, Watcher&) override {}
  void unwatch(const m3::ServiceId&) override {}
  Task<std::vector<Member>> members(Ctx&, m3::ServiceId) override {
    co_return std::vector<Member>();
  }

  bool refuses = false;
  Names announced;
};

/// One broker for all apps that have it.
class PublicBroker final : public m3::Broker {
 public:
  static constexpr std::string_view kName = "public";
  static constexpr int kStage = 20;
  struct Config {
    static void describe(m3::Schema<Config>&) {}
  };
  PublicBroker(m3::Env&, const Config&) {}

  bool reaches_other_processes() const override { return true; }
  std::size_t max_pending() const override { return 1000; }
  std::size_t max_payload() const override { return 1u << 20; }
  Task<> subscribe(Ctx&, std::string topic, Subscriber& subscriber) override {
    wishes.emplace(std::move(topic), &subscriber);
    co_return m3::ok;
  }
  void unsubscribe(std::string_view topic, Subscriber& subscriber) override {
    std::erase_if(wishes, [&](const auto& wish) {
      return wish.first == topic && wish.second == &subscriber;
    });
  }
  Status can_publish(std::size_t) const override { return m3::ok; }
  Status publish(std::string_view topic, std::string_view payload, std::uint32_t) override {
    const auto all = wishes;
    for (const auto& [name, subscriber] : all)
      if (name == topic) subscriber->on_message(topic, payload);
    return m3::ok;
  }

 private:
  static inline std::multimap<std::string, Subscriber*> wishes;
};

/// One app behind the moody router, and one that knows where it is.
struct Announcer {
  explicit Announcer(m3::testing::SimRuntime& sim) : world(sim), app("talk"), person("caller") {
    app.plugin<MoodyRouter>();
  }
  static std::string config(int weight) {
    return "listen = \"sim:1\"\ndrain_wait = \"0s\"\nweight = " + std::to_string(weight) +
           "\n[router.moody]\n";
  }
  Task<> start(Ctx& ctx) {
    auto embedding = world.embedding("dev.w.talk.1", "");
    embedding.config_file = file.path();
    co_await app.start(ctx, embedding);
    router = app.find<MoodyRouter>();
    co_await person.start(
        ctx,
        world.embedding("dev.w.caller.1", "[router.static]\npeers = [\"dev.w.talk.1@sim:1\"]\n"));
    co_return m3::ok;
  }
  Task<> stop(Ctx& ctx) {
    co_await person.stop(ctx);
    co_await app.stop(ctx);
    co_return m3::ok;
  }
  /// The state before, or the error.
  Task<std::string> set_state(Ctx& ctx, m3::admin::MemberState state) {
    m3::admin::ControlClient control(person, m3::func("talk"));
    m3::admin::SetStateReq req;
    req.set_state(state);
    auto answer = co_await as_result(control.set_state(ctx, req, m3::to::app("dev.w.talk.1")));
    co_return answer.is_ok() ? m3::admin::MemberState_Name(answer->before())
                             : answer.status().to_string();
  }
  World world;
  ConfigFile file{config(1)};
  App app;
  App person;
  MoodyRouter* router = nullptr;
};

class Ear final : public ShoutService {
 public:
  explicit Ear(Diary diary) : diary_(std::move(diary)) {}
  Task<> aloud(Ctx&, const Cry& cry) override {
    diary_->push_back(cry.text());
    co_return m3::ok;
  }

 private:
  Diary diary_;
};

}  // namespace

CO_TEST("app: a state that cannot be announced is not taken, and may be asked for again") {
  using namespace m3::admin;  // NOLINT(google-build-using-namespace): the states
  Announcer talk(sim);
  co_await talk.start(ctx);
  talk.router->refuses = true;
  CHECK(contains(co_await talk.set_state(ctx, MEMBER_STATE_CORDONED), "not now"));
  talk.router->refuses = false;
  CHECK(co_await talk.set_state(ctx, MEMBER_STATE_CORDONED) == "MEMBER_STATE_SERVING");
  CHECK(co_await talk.set_state(ctx, MEMBER_STATE_CORDONED) == "MEMBER_STATE_CORDONED");
  CHECK(talk.router->announced == Names{"serving 1", "cordoned 1"});
  co_await talk.stop(ctx);
}

CO_TEST("app: an announcement refused at a reload is made at the next one") {
  Announcer talk(sim);
  co_await talk.start(ctx);
  talk.file.write(Announcer::config(7));
  talk.router->refuses = true;
  CHECK((co_await as_result(talk.app.reload(ctx))).code() == Errc::unavailable);
  talk.router->refuses = false;
  co_await talk.app.reload(ctx);
  co_await talk.app.reload(ctx);  // nothing is new
  CHECK(talk.router->announced == Names{"serving 1", "serving 7"});
  co_await talk.stop(ctx);
}

CO_TEST("app: while the token is changed broadcasts of either one are heard") {
  World world(sim);
  const auto diary = std::make_shared<Names>();
  App one("shout"), two("shout");
  for (auto [app, id, token, second] :
       {std::tuple(&one, "dev.w.shout.1", "the-token-of-before-this", "the-token-of-after-this-"),
        std::tuple(&two, "dev.w.shout.2", "the-token-of-after-this-",
                   "the-token-of-before-this")}) {
    app->plugin<MoodyRouter>().plugin<PublicBroker>().serve<Ear>(diary);
    co_await app->start(ctx, world.embedding(id, "[rpc]\ntoken = \"" + std::string(token) +
                                                     "\"\nsecond_token = \"" + second +
                                                     "\"\n[router.moody]\n[broker.public]\n"));
  }
  for (App* app : {&one, &two}) {
    Cry cry;
    cry.set_text("from " + std::string(app->app_id().ins()));
    ShoutClient client(*app);
    co_await client.aloud(ctx, cry, m3::to::all());
    co_await m3::sleep(ctx, 1ms);
  }
  CHECK(*diary == Names{"from 1", "from 1", "from 2", "from 2"});
  for (App* app : {&one, &two}) co_await app->stop(ctx);
}

TEST_CASE("app config: every key of [rpc] reaches the calls") {
  m3::AppConfig config;
  config.rpc.token = "a";
  config.rpc.second_token = "b";
  config.rpc.operator_token = "c";
  config.rpc.default_timeout = 1ms;
  config.rpc.connect_timeout = 2ms;
  config.rpc.idle_close = 3ms;
  config.rpc.max_frame = m3::ByteSize{4};
  config.rpc.max_metadata = m3::ByteSize{5};
  config.rpc.max_calls = 6;
  config.rpc.connection_memory = m3::ByteSize{7};
  config.rpc.core_memory = m3::ByteSize{8};
  config.rpc.overload_wait = 9ms;
  config.rpc.max_connections = 10;
  config.rpc.max_attempts = 11;
  const m3::RpcConfig out = config.rpc_config();
  CHECK((out.token == "a" && out.second_token == "b" && out.operator_token == "c"));
  CHECK((out.default_timeout == 1ms && out.connect_timeout == 2ms && out.idle_close == 3ms));
  CHECK((out.limits.max_frame_bytes == 4 && out.limits.max_metadata_bytes == 5));
  CHECK((out.limits.max_calls == 6 && out.connection_memory == 7 && out.core_memory == 8));
  CHECK((out.overload_wait == 9ms && out.max_connections == 10 && out.max_attempts == 11));
}
