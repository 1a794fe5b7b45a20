// SPDX-License-Identifier: BSL-1.0
// The rows about what an app is made of.
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "embedded.h"
#include "m3/async/asio.h"
#include "m3/obs/log.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"
#include "process.h"
#include "seed.m3.h"
#include "simple_ser.h"

using namespace seed;
using m3::Ctx;
using m3::Task;

namespace {

class Table final : public TableSerService {
 public:
  Task<Sit_Rsp> sit(Ctx&, const Sit_Req& req) override {
    Sit_Rsp rsp;
    rsp.set_seat(req.player() + " sits");
    co_return rsp;
  }
};

using Diary = std::vector<std::string>;

struct GameConfig {
  int tables = 1;
  std::string motto;
  static void describe(m3::Schema<GameConfig>& s) {
    s.add("tables", &GameConfig::tables).doc("how many").range(1, 64);
    s.add("motto", &GameConfig::motto).doc("shown to players").reloadable();
  }
};

/// A server that takes part in its app's life.
class LivingTable final : public TableSerService, public m3::ServiceHooks {
 public:
  explicit LivingTable(Diary& diary) : diary_(diary) {}
  Task<> on_init(Ctx&, m3::App& app) override {
    return note("init with " + std::to_string(app.section<GameConfig>()->tables) + " tables");
  }
  Task<> on_start(Ctx&) override { return note("server start"); }
  Task<> on_stop(Ctx&) override { return note("server stop"); }
  Task<> on_reload(Ctx&, m3::App& app) override {
    return note("server reload: " + app.section<GameConfig>()->motto);
  }

 private:
  Task<> note(std::string what) {
    diary_.push_back(std::move(what));
    co_return m3::ok;
  }
  Diary& diary_;
};

Task<> note(Diary& diary, std::string what) {
  diary.push_back(std::move(what));
  co_return m3::ok;
}

}  // namespace

TEST_CASE("S02: one app hosts two servers; two of one name are refused") {
  Embedded both("simple", "", "listen = \"127.0.0.1:0\"\n");
  both.app().serve<simple::SimpleSer>().serve<Table>();
  REQUIRE(both.start().is_ok());
  CHECK(both.app().service_names() == Diary{"proto.SimpleSer", "seed.TableSer"});

  Embedded caller("caller", "example.world1.simple.1@" + both.app().address().to_string());
  CHECK(caller.hello("Ann") == "HelloWorld , Ann");
  auto sit = [&](Ctx& ctx) -> Task<std::string> {
    TableSerClient table(caller.app(), m3::func("simple"));
    Sit_Req req;
    req.set_player("Ann");
    const auto rsp = co_await table.sit(ctx, req);
    co_return rsp.seat();
  };
  auto seat = caller.run(sit);
  REQUIRE(seat.is_ok());
  CHECK(*seat == "Ann sits");

  Embedded twice("simple");
  twice.app().serve<simple::SimpleSer>().serve<simple::SimpleSer>();
  const m3::Status refused = twice.start();
  CHECK(refused == m3::Errc::already_exists);
  CHECK(refused.text().find("proto.SimpleSer") != std::string::npos);
}

TEST_CASE(
    "S09: app and server are initialised with their configuration, started, reloaded, stopped") {
  Diary diary;
  TempFile file("id = \"example.world1.table.1\"\ncores = 1\n[app]\ntables = 8\n");
  {
    m3::App app("table");
    app.use_section<GameConfig>()
        .serve<LivingTable>(std::ref(diary))
        .on_start([&diary](Ctx&) { return note(diary, "app start"); })
        .on_reload([&diary](Ctx&) { return note(diary, "app reload"); })
        .on_stop([&diary](Ctx&) { return note(diary, "app stop"); });
    m3::App::Embedding embedding;
    embedding.config_file = file.path();
    REQUIRE(app.start(embedding).is_ok());
    CHECK(diary == Diary{"init with 8 tables", "server start", "app start"});
    diary.clear();
    file.write("id = \"example.world1.table.1\"\ncores = 1\n[app]\ntables = 8\nmotto = \"fun\"\n");
    auto reload = [&app](Ctx& ctx) { return app.reload(ctx); };
    CHECK(app.block_on(reload).is_ok());
    CHECK(diary == Diary{"server reload: fun", "app reload"});
    diary.clear();
    CHECK(app.stop().is_ok());
  }
  CHECK(diary == Diary{"app stop", "server stop"});
}

TEST_CASE("S35: five levels, plus fields, a level that can be read and set, a sink of one's own") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  bool fatal = false;
  m3::log::set_fatal_hook([&] { fatal = true; });
  m3::log::debug("player {} came", 7);
  m3::log::info("info");
  m3::log::warn("warn");
  m3::log::error("error");
  m3::log::fatal("fatal");
  m3::log::set_fatal_hook(nullptr);
  CHECK(fatal);
  REQUIRE(sink->events().size() == 5);
  CHECK(sink->events()[0].text == "player 7 came");
  CHECK(sink->events()[4].level == m3::LogLevel::fatal);
  m3::log::info_p({{"player", "ann"}, {"gold", 7}}, "bought");
  CHECK(sink->events()[5].plus.at("player") == "ann");
  CHECK(sink->events()[5].plus.at("gold") == "7");
  fatal = false;
  m3::log::set_fatal_hook([&] { fatal = true; });
  m3::log::debug_p({{"n", 1}}, "debug plus {}", "x");
  m3::log::warn_p({{"n", 2}}, "warn plus");
  m3::log::error_p({{"n", 3}}, "error plus");
  m3::log::fatal_p({{"n", 4}}, "fatal plus");
  m3::log::set_fatal_hook(nullptr);
  CHECK(fatal);
  REQUIRE(sink->events().size() == 10);
  CHECK(sink->events()[6].text == "debug plus x");
  CHECK(sink->events()[6].level == m3::LogLevel::debug);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(sink->events()[6 + i].plus.at("n") == std::to_string(i + 1));
  m3::log::set_level(m3::LogLevel::error);
  CHECK(m3::log::get_level() == m3::LogLevel::error);
  m3::log::warn("dropped");
  CHECK(sink->count("dropped") == 0);
}

TEST_CASE("S35: an app's events carry its id") {
  Simple app("example.world1.simple.3");
  CHECK(app.process().output().find("INFO  example.world1.simple.3 ") != std::string::npos);
}

TEST_CASE("U1: each core is one thread with its own event loop") {
  m3::App three("simple");
  m3::App::Embedding embedding;
  embedding.config = "id = \"example.world1.simple.1\"\ncores = 3\n";
  REQUIRE(three.start(embedding).is_ok());
  m3::Runtime& runtime = three.runtime();
  REQUIRE(runtime.size() == 3);
  const auto who = [](Ctx&) -> Task<std::thread::id> { co_return std::this_thread::get_id(); };
  std::set<std::thread::id> threads;
  std::set<boost::asio::io_context*> loops;
  for (unsigned core = 0; core < 3; ++core) {
    auto first = runtime.block_on(runtime.core(core), who);
    auto again = runtime.block_on(runtime.core(core), who);
    REQUIRE(first.is_ok());
    CHECK(*first == *again);
    threads.insert(*first);
    loops.insert(&m3::io_context(runtime.core(core)));
  }
  CHECK(threads.size() == 3);
  CHECK(loops.size() == 3);
  CHECK(three.stop().is_ok());
}
