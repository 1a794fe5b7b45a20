// SPDX-License-Identifier: BSL-1.0
// What an app makes of its configuration, at the start and at a reload.

#include "app_fixture.h"
#include "m3/obs/recording_sink.h"

using namespace app_test;
using m3::App;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;

namespace {

struct GameConfig {
  int tables = 4;
  std::string motto = "fair play";
  static void describe(m3::Schema<GameConfig>& s) {
    s.add("tables", &GameConfig::tables).doc("how many").range(1, 64);
    s.add("motto", &GameConfig::motto).doc("shown to players").reloadable();
  }
};

/// Takes every change, or refuses it.
template <bool Refuses>
class Tunable final : public m3::Plugin {
 public:
  static constexpr std::string_view kKind = "tunable";
  static constexpr bool kMany = true;
  static constexpr std::string_view kName = Refuses ? "hard" : "soft";
  static constexpr int kStage = Refuses ? 20 : 25;  // the one that refuses has its turn first
  struct Config {
    int pitch = 1;
    static void describe(m3::Schema<Config>& s) {
      s.add("pitch", &Config::pitch).doc("how high").reloadable();
    }
  };
  Tunable(m3::Env&, const Config&) {}
  m3::Task<> reload(Ctx&, const Config& config) {
    tuned.push_back(std::string(kName) + " " + std::to_string(config.pitch));
    if (Refuses) co_return Status(Errc::resource_exhausted, "too high");
    co_return m3::ok;
  }

  static inline Names tuned;
};

/// A service whose hook cannot take the change.
class Stubborn final : public CounterService, public m3::ServiceHooks {
 public:
  m3::Task<Counted> how_many(Ctx&, const Count&) override { co_return Counted(); }
  m3::Task<> on_reload(Ctx&, App&) override { co_return Status(Errc::aborted, "not me"); }
};

Status start_error(m3::testing::SimRuntime& sim, const std::string& id, const std::string& config) {
  World world(sim);
  App app("talk");
  auto started = sim.run([&](Ctx& ctx) { return app.start(ctx, world.embedding(id, config)); });
  CHECK_FALSE(started.is_ok());
  return started.status();
}

}  // namespace

TEST_CASE("app config: all errors are reported at once, with their lines") {
  m3::testing::SimRuntime sim;
  const std::string text = start_error(sim, "dev.w.talk.1",
                                       "listen = \"nowhere\"\n"
                                       "advertise = \"0.0.0.0:1\"\n"
                                       "drain_wait = 5\n"
                                       "lissten = \"x\"\n"
                                       "[rpc]\n"
                                       "max_calls = 0\n"
                                       "[app]\n"
                                       "a = 1\n"
                                       "[router.static]\n"
                                       "peers = [\"dev.w.talk.1@a:1\", \"dev.w.talk.1@b:2\"]\n")
                               .text();
  INFO(text);
  CHECK(contains(text, "configuration:1: listen:"));
  CHECK(contains(text, "configuration:2: advertise:"));
  CHECK(contains(text, "dev.w.talk.1 is listed twice"));
  CHECK(contains(text, "configuration:10: router.static.peers:"));
  CHECK(contains(text, "configuration:3: drain_wait:"));
  CHECK(contains(text, "configuration:4: lissten:"));
  CHECK(contains(text, "did you mean \"listen\""));
  CHECK(contains(text, "configuration:6: rpc.max_calls:"));
  CHECK(
      contains(text,
               "configuration:7: app: the app \"talk\" reads no [app] section: remove it from the "
               "file, or declare it in main with App::use_section<T>()"));
}

TEST_CASE("app config: m3game's keys are answered with m3's") {
  m3::testing::SimRuntime sim;
  const std::string text = start_error(sim, "dev.w.talk.1",
                                       "[Transport]\n"
                                       "Addr = \"127.0.0.1:22105\"\n"
                                       "[Options]\n"
                                       "[[Options.Mesh]]\n"
                                       "WatcherInterSecond = 1\n")
                               .text();
  INFO(text);
  CHECK(contains(text, "now listen = \"127.0.0.1:22105\""));
  CHECK(contains(text, "gone: Consul pushes"));
}

TEST_CASE("app config: an id must be there and have the app's func") {
  m3::testing::SimRuntime sim;
  CHECK(contains(start_error(sim, "", "").text(), "give --id env.world.talk.ins"));
  const std::string other = start_error(sim, "dev.w.hello.3", "").text();
  CHECK(contains(other, "dev.w.hello.3 has the func \"hello\", but this program is \"talk\""));
  CHECK(contains(other, "write dev.w.talk.3"));
  CHECK(contains(start_error(sim, "", "id = \"dev.w.talk\"\n").text(), "configuration:1: id:"));
}

CO_TEST("app config: the id given wins over the file's") {
  World world(sim);
  App app("talk");
  co_await app.start(ctx, world.embedding("dev.w.talk.2", "id = \"dev.w.talk.1\"\n"));
  CHECK(app.app_id().to_string() == "dev.w.talk.2");
  co_await app.stop(ctx);
}

CO_TEST("app config: [app] is the app's own, typed") {
  World world(sim);
  App app("talk");
  app.use_section<GameConfig>();
  CHECK(app.section<GameConfig>()->tables == 4);
  co_await app.start(ctx, world.embedding("dev.w.talk.1", "[app]\ntables = 8\n"));
  CHECK(app.section<GameConfig>()->tables == 8);
  co_await app.stop(ctx);
  App other("talk");
  other.use_section<GameConfig>();
  auto started =
      co_await as_result(other.start(ctx, world.embedding("dev.w.talk.1", "[app]\ntables = 65\n")));
  CHECK(contains(started.status().text(), "app.tables"));
}

CO_TEST("app config: a reload applies reloadable keys and names those that need a restart") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  World world(sim);
  App app("talk");
  app.use_section<GameConfig>();
  ConfigFile file("cores = 1\n");
  auto embedding = world.embedding("dev.w.talk.1", "");
  embedding.config_file = file.path();
  co_await app.start(ctx, embedding);
  CHECK(m3::log::get_level() == m3::LogLevel::info);

  file.write("cores = 2\nlog_level = \"warn\"\n[app]\nmotto = \"have fun\"\n");
  const auto before = app.section<GameConfig>();
  co_await app.reload(ctx);
  CHECK(m3::log::get_level() == m3::LogLevel::warn);
  CHECK(app.config().cores == 1);
  CHECK(sink->count("cores = 2 needs a restart; 1 stays in effect") == 1);
  CHECK(app.section<GameConfig>()->motto == "have fun");
  CHECK(before->motto == "fair play");

  file.write("log_level = \"info\"\n[app]\ntables = 9\nmotto = \"other\"\n");
  co_await app.reload(ctx);
  CHECK(m3::log::get_level() == m3::LogLevel::info);
  CHECK(app.section<GameConfig>()->motto == "have fun");  // taken whole or not at all
  CHECK(sink->count("app.tables = 9 needs a restart") == 1);
  co_await app.stop(ctx);
}

CO_TEST("app config: a bad file at a reload changes nothing") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  World world(sim);
  App app("talk");
  ConfigFile file("log_level = \"warn\"\n");
  auto embedding = world.embedding("dev.w.talk.1", "");
  embedding.config_file = file.path();
  co_await app.start(ctx, embedding);
  file.write("log_level = \"debug\"\nnonsense = 1\n");
  auto reloaded = co_await as_result(app.reload(ctx));
  CHECK(reloaded.code() == Errc::invalid_argument);
  CHECK(m3::log::get_level() == m3::LogLevel::warn);
  CHECK(sink->count("the previous one stays in effect") == 1);
  CHECK(sink->count(":2: nonsense") == 1);
  co_await app.stop(ctx);
}

CO_TEST("app config: a plugin that fails at a reload keeps no other from the change") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  World world(sim);
  App app("talk");
  app.plugin<Tunable<true>>().plugin<Tunable<false>>();
  ConfigFile file("[tunable.hard]\n[tunable.soft]\n");
  auto embedding = world.embedding("dev.w.talk.1", "");
  embedding.config_file = file.path();
  co_await app.start(ctx, embedding);

  Names& soft = Tunable<false>::tuned;
  Names& hard = Tunable<true>::tuned;
  soft.clear();
  hard.clear();
  file.write("[tunable.hard]\npitch = 2\n[tunable.soft]\npitch = 3\n");
  const Status reloaded = (co_await as_result(app.reload(ctx))).status();
  CHECK(reloaded == Errc::resource_exhausted);
  CHECK(reloaded.text() == "tunable.hard: too high");
  CHECK(hard == Names{"hard 2"});
  CHECK(soft == Names{"soft 3"});
  CHECK(sink->count("tunable.hard: too high") == 1);

  // What was refused is offered again, what was taken is not.
  CHECK((co_await as_result(app.reload(ctx))).code() == Errc::resource_exhausted);
  CHECK(hard == Names{"hard 2", "hard 2"});
  CHECK(soft == Names{"soft 3"});
  co_await app.stop(ctx);
}

CO_TEST("app config: a service that fails at a reload keeps no other from the change") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  World world(sim);
  auto diary = std::make_shared<Names>();
  App app("talk");
  app.serve<Stubborn>().serve<Talk>(diary);
  app.on_reload([diary](Ctx&) -> m3::Task<> {
    diary->push_back("hook");
    co_return Status(Errc::internal, "nor me");
  });
  co_await app.start(ctx, world.embedding("dev.w.talk.1", "listen = \"sim:1\"\n"));
  diary->clear();
  const Status reloaded = (co_await as_result(app.reload(ctx))).status();
  CHECK(*diary == Names{"talk reload", "hook"});
  CHECK(reloaded == Errc::aborted);
  CHECK(contains(reloaded.text(), "not me"));
  CHECK(sink->count("not me") == 1);
  CHECK(sink->count("nor me") == 1);
  co_await app.stop(ctx);
}
