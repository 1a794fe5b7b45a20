// SPDX-License-Identifier: BSL-1.0
#include "m3/app/app.h"

#include <stdexcept>
#include <string>

#include "app_fixture.h"
#include "m3/admin.m3.h"
#include "m3/async/scope.h"
#include "m3/obs/recording_sink.h"

using namespace app_test;
using namespace std::chrono_literals;
using m3::App;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

const std::string kTalk = "listen = \"sim:1\"\n";
const std::string kPeers = "[router.static]\npeers = [\"dev.w.talk.1@sim:1\"]\n";

App::Hook noting(Diary diary, std::string what, Status outcome = {}) {
  struct Note {
    static Task<> write(Diary diary, std::string what, Status outcome) {
      diary->push_back(std::move(what));
      co_return outcome;
    }
  };
  return [=](Ctx&) { return Note::write(diary, what, outcome); };
}

Question question(const std::string& text, unsigned wait_ms = 0) {
  Question out;
  out.set_text(text);
  out.set_wait_ms(wait_ms);
  return out;
}

}  // namespace

CO_TEST("app: one app calls two services of another, and itself") {
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(diary).serve<CounterOf>(7u);
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  co_await caller.start(ctx, world.embedding("dev.w.caller.1", kPeers));
  CHECK(talk.service_names() == Names{"app_test.Talk", "app_test.Counter"});
  for (App* from : {&caller, &talk}) {
    TalkClient client(*from);
    CounterClient counter(*from);
    const auto req = question("hi");
    const auto rsp = co_await client.ask(ctx, req);
    CHECK(rsp.text() == "you said hi");
    CHECK(rsp.by() == "dev.w.talk.1");
    const Count count;
    const auto counted = co_await counter.how_many(ctx, count);
    CHECK(counted.questions() == 7);
  }
  co_await caller.stop(ctx);
  co_await talk.stop(ctx);
}

CO_TEST("app: services and hooks start and stop in the order of the stages") {
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk");
  talk.serve<Talk>(diary)
      .on_start(noting(diary, "app start"))
      .on_stop(noting(diary, "app stop"))
      .on_reload(noting(diary, "app reload"))
      .health(noting(diary, "health"));
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  CHECK(*diary == Names{"talk init", "talk start", "app start", "health"});
  diary->clear();
  co_await talk.reload(ctx);
  CHECK(*diary == Names{"talk reload", "app reload"});
  diary->clear();
  co_await talk.stop(ctx);
  CHECK(*diary == Names{"app stop", "talk stop"});
}

CO_TEST("app: a hook that fails ends the start, and what was begun is undone") {
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk");
  talk.serve<Talk>(diary).on_start(noting(diary, "app start", Status(Errc::internal, "no luck")));
  talk.on_stop(noting(diary, "app stop"));
  auto started = co_await as_result(talk.start(ctx, world.embedding("dev.w.talk.1", kTalk)));
  CHECK(started.code() == Errc::internal);
  CHECK(started.status().text() == "start 50 app: no luck");
  CHECK(*diary == Names{"talk init", "talk start", "app start", "app stop", "talk stop"});
}

CO_TEST("app: two services with one name are refused") {
  World world(sim);
  App talk("talk");
  talk.serve<CounterOf>(1u).serve<CounterOf>(2u);
  auto started = co_await as_result(talk.start(ctx, world.embedding("dev.w.talk.1", kTalk)));
  CHECK(started.code() == Errc::already_exists);
  CHECK(contains(started.status().text(), "app_test.Counter"));
}

CO_TEST("app: stopping refuses new calls as not executed and finishes those that run") {
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(diary).on_stop(noting(diary, "app stop"));
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk + "drain_wait = \"0s\"\n"));
  co_await caller.start(ctx, world.embedding("dev.w.caller.1", kPeers));
  TalkClient client(caller);
  struct Calls {
    static Task<> ask(Ctx& ctx, TalkClient& client, unsigned wait_ms, Status& outcome) {
      const auto req = question("hi", wait_ms);
      outcome = (co_await as_result(client.ask(ctx, req))).status();
      co_return m3::ok;
    }
  };
  m3::Scope scope(ctx.core());
  Status running(Errc::unknown, "still running"), late = running;
  scope.spawn("running", [&](Ctx& c) { return Calls::ask(c, client, 4000, running); });
  co_await m3::sleep(ctx, 100ms);
  scope.spawn("stop", [&](Ctx& c) { return talk.stop(c); });
  co_await m3::sleep(ctx, 100ms);
  CHECK(running == Errc::unknown);
  co_await Calls::ask(ctx, client, 0, late);
  CHECK(late == Errc::unavailable);
  CHECK_FALSE(late.maybe_executed());
  co_await scope.drain(ctx);
  CHECK(running.is_ok());
  CHECK(diary->back() == "talk stop");
  CHECK(*(diary->end() - 2) == "app stop");
  CHECK(*(diary->end() - 3) == "answer");
  co_await caller.stop(ctx);
}

CO_TEST("app: a handler that outlasts the stop is cancelled before on_stop") {
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(diary);
  co_await talk.start(
      ctx, world.embedding("dev.w.talk.1", kTalk + "drain_wait = \"0s\"\nstop_timeout = \"2s\"\n"));
  co_await caller.start(
      ctx, world.embedding("dev.w.caller.1", kPeers + "[rpc]\ndefault_timeout = \"1h\"\n"));
  struct Calls {
    static Task<> ask(Ctx& ctx, App& from, Status& outcome) {
      TalkClient client(from);
      const auto req = question("hi", 3000000);
      outcome = (co_await as_result(client.ask(ctx, req))).status();
      co_return m3::ok;
    }
  };
  m3::Scope scope(ctx.core());
  Status outcome;
  scope.spawn("ask", [&](Ctx& c) { return Calls::ask(c, caller, outcome); });
  co_await m3::sleep(ctx, 100ms);
  const auto began = ctx.core().now();
  co_await talk.stop(ctx);
  CHECK(ctx.core().now() - began < 3s);
  CHECK(*(diary->end() - 2) == "cancelled");
  CHECK(diary->back() == "talk stop");
  co_await scope.drain(ctx);
  CHECK_FALSE(outcome.is_ok());
  co_await caller.stop(ctx);
}

CO_TEST("app: it is not ready before health has nothing against it") {
  World world(sim);
  App talk("talk");
  int asked = 0;
  struct Health {
    static Task<> check(int& asked) {
      if (++asked < 4) co_return Status(Errc::unavailable, "warming up");
      co_return m3::ok;
    }
  };
  talk.serve<CounterOf>(1u).health([&asked](Ctx&) { return Health::check(asked); });
  auto before = co_await as_result(talk.check_health(ctx));
  CHECK(before.code() == Errc::unavailable);
  const auto began = ctx.core().now();
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  CHECK(asked == 4);
  CHECK(ctx.core().now() - began >= 300ms);
  co_await talk.check_health(ctx);
  co_await talk.stop(ctx);
  auto after = co_await as_result(talk.check_health(ctx));
  CHECK(after.code() == Errc::unavailable);
}

CO_TEST("app: an app that stays unhealthy does not start") {
  World world(sim);
  App talk("talk");
  talk.serve<CounterOf>(1u).health(
      noting(std::make_shared<Names>(), "health", Status(Errc::unavailable, "cold")));
  auto started = co_await as_result(
      talk.start(ctx, world.embedding("dev.w.talk.1", kTalk + "start_timeout = \"1s\"\n")));
  CHECK(started.code() == Errc::deadline_exceeded);
}

CO_TEST("app: interceptors stand around requests and calls, in order") {
  struct Noting final : m3::Interceptor {
    Noting(Diary to, std::string text) : diary(std::move(to)), name(std::move(text)) {}
    Task<> on_call(Ctx& ctx, const m3::InterceptedCall&, Next& next) override {
      diary->push_back(name);
      co_await next(ctx);
      co_return m3::ok;
    }
    Diary diary;
    std::string name;
  };
  World world(sim);
  auto diary = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(diary)
      .intercept(std::make_shared<Noting>(diary, "in 1"))
      .intercept(std::make_shared<Noting>(diary, "in 2"));
  caller.client_interceptor(std::make_shared<Noting>(diary, "out"));
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  co_await caller.start(ctx, world.embedding("dev.w.caller.1", kPeers));
  diary->clear();
  TalkClient client(caller);
  const auto req = question("hi");
  co_await client.ask(ctx, req);
  CHECK(*diary == Names{"out", "in 1", "in 2", "ask"});
  co_await caller.stop(ctx);
  co_await talk.stop(ctx);
}

CO_TEST("app: interceptors see m3's own services only when they ask for it") {
  struct Noting final : m3::Interceptor {
    Noting(Diary to, std::string text) : diary(std::move(to)), name(std::move(text)) {}
    Task<> on_call(Ctx& ctx, const m3::InterceptedCall& call, Next& next) override {
      diary->push_back(name + std::string(call.method.full_name));
      co_await next(ctx);
      co_return m3::ok;
    }
    Diary diary;
    std::string name;
  };
  World world(sim);
  auto seen = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(std::make_shared<Names>())
      .intercept(std::make_shared<Noting>(seen, "in "))
      .intercept(std::make_shared<Noting>(seen, "all in "), m3::Intercepts::all_calls);
  caller.client_interceptor(std::make_shared<Noting>(seen, "out "))
      .client_interceptor(std::make_shared<Noting>(seen, "all out "), m3::Intercepts::all_calls);
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  co_await caller.start(ctx, world.embedding("dev.w.caller.1", kPeers));

  m3::admin::ReflectionClient tool(caller, m3::func("talk"));
  const m3::admin::DescribeReq brief;
  co_await tool.describe(ctx, brief);
  CHECK(*seen ==
        Names{"all out /m3.admin.Reflection/Describe", "all in /m3.admin.Reflection/Describe"});

  seen->clear();
  TalkClient client(caller);
  const auto req = question("hi");
  co_await client.ask(ctx, req);
  const std::string ask(app_test::TalkService::kAsk.full_name);
  CHECK(*seen == Names{"out " + ask, "all out " + ask, "in " + ask, "all in " + ask});
  co_await caller.stop(ctx);
  co_await talk.stop(ctx);
}

CO_TEST("app: a part of a type that is there already ends the start") {
  struct Treasury final : m3::Part {
    explicit Treasury(m3::Env&) {}
    void steps(m3::Steps&) override {}
  };
  World world(sim);
  App app("talk");
  app.part<Treasury>().part<Treasury>();
  const Status started =
      (co_await as_result(app.start(ctx, world.embedding("dev.w.talk.1", kTalk)))).status();
  CHECK(started == Errc::already_exists);
  CHECK(contains(started.text(), "the app has two parts of the type "));
  CHECK(contains(started.text(), "Treasury, and parts are found by their type: list it once"));
}

CO_TEST("app: m3::call finds its way from a hook's context") {
  World world(sim);
  App talk("talk"), caller("caller");
  unsigned counted = 0;
  struct Hook {
    static Task<> ask(Ctx& ctx, unsigned& counted) {
      const Count req;
      const auto rsp = co_await m3::call(ctx, req);
      counted = rsp.questions();
      co_return m3::ok;
    }
  };
  talk.serve<CounterOf>(9u);
  caller.on_start([&counted](Ctx& c) { return Hook::ask(c, counted); });
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  co_await caller.start(ctx, world.embedding("dev.w.caller.1", kPeers));
  CHECK(counted == 9);
  co_await caller.stop(ctx);
  co_await talk.stop(ctx);
}

CO_TEST("app: a service without a handler for one of its rpcs is served, with a warning") {
  struct Empty final : app_test::TalkService {};
  World world(sim);
  auto sink = std::make_shared<m3::RecordingSink>();
  const m3::ScopedLogSink scoped(sink);
  App talk("talk");
  talk.serve<Empty>().serve<CounterOf>(1u);
  co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk));
  CHECK(sink->count("app_test.Talk is served without Ask: override it, or its callers get") == 1);
  CHECK(sink->count("app_test.Counter is served without") == 0);
  co_await talk.stop(ctx);
}

TEST_CASE("app: a thread that is not a core can run work as the app") {
  App talk("talk");
  talk.serve<CounterOf>(9u);
  App::Embedding embedding;
  embedding.id = *m3::AppId::parse("dev.w.talk.1");
  embedding.config = "listen = \"127.0.0.1:0\"\n";
  REQUIRE(talk.start(embedding).is_ok());
  const auto counted = talk.block_on([](Ctx& ctx) -> Task<unsigned> {
    const app_test::Count req;
    const auto rsp = co_await m3::call(ctx, req);  // finds the app by the context
    co_return rsp.questions();
  });
  REQUIRE(counted.is_ok());
  CHECK(*counted == 9);
  const auto failed =
      talk.block_on([](Ctx&) -> Task<> { co_return Status(Errc::aborted, "as it says itself"); });
  CHECK(failed.status().text() == "as it says itself");
  CHECK(talk.stop().is_ok());
}

CO_TEST("app: a token that can be guessed is warned about, whichever it is") {
  World world(sim);
  const std::string good = "of-twenty-two-characters";
  for (const std::string bad : {"", "token", "second_token", "operator_token"}) {
    auto sink = std::make_shared<m3::RecordingSink>();
    const m3::ScopedLogSink scoped(sink);
    std::string rpc = "[rpc]\n";
    for (const std::string name : {"token", "second_token", "operator_token"})
      rpc += name + " = \"" + (name == bad ? "short" : good + name) + "\"\n";
    App talk("talk");
    talk.serve<CounterOf>(1u);
    co_await talk.start(ctx, world.embedding("dev.w.talk.1", kTalk + rpc));
    CHECK(sink->count("is short enough to be guessed") == (bad.empty() ? 0 : 1));
    CHECK(sink->count("rpc." + bad + " is short enough") == (bad.empty() ? 0 : 1));
    co_await talk.stop(ctx);
  }
}

TEST_CASE("app: an app that other machines can reach requires a token") {
  const auto refusal = [](const std::string& text) {
    App talk("talk");
    App::Embedding embedding;
    embedding.id = *m3::AppId::parse("dev.w.talk.1");
    embedding.config = text;
    const Status started = talk.start(embedding);
    if (started) CHECK(talk.stop().is_ok());
    return started.to_string();
  };
  for (const char* where : {"0.0.0.0:0", "[::]:0", "10.1.2.3:1"}) {
    const std::string text = refusal("listen = \"" + std::string(where) + "\"\n");
    CHECK(contains(text, "listen: \"" + std::string(where) + "\" can be reached from other"));
    CHECK(contains(text, "write token = \"${M3_TOKEN}\" under [rpc]"));
  }
  CHECK(refusal("listen = \"127.0.0.1:0\"\n") == "ok");
  CHECK(refusal("listen = \"0.0.0.0:0\"\nadvertise = \"127.0.0.1:0\"\n[rpc]\ntoken = \"t\"\n") ==
        "ok");
  CHECK(contains(refusal("[rpc]\nsecond_token = \"t\"\n"),
                 "second_token is accepted in addition to token"));
}

TEST_CASE("app: objects created at the start are an error with a sentence before it") {
  App talk("talk");
  const auto refusal = [](auto&& ask) -> std::string {
    try {
      ask();
    } catch (const std::logic_error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string early = "() was called before the app started";
  CHECK(contains(refusal([&] { talk.metrics(); }), "app.metrics" + early));
  CHECK(contains(refusal([&] { talk.caller(); }), "app.caller" + early));
  CHECK(contains(refusal([&] { talk.runtime(); }), "app.runtime" + early));
  CHECK(contains(refusal([&] { talk.node(); }), "app.node" + early));
}

TEST_CASE("app: two apps run in one process, over TCP") {
  auto diary = std::make_shared<Names>();
  App talk("talk"), caller("caller");
  talk.serve<Talk>(diary);
  App::Embedding one;
  one.id = *m3::AppId::parse("dev.w.talk.1");
  one.config = "listen = \"127.0.0.1:0\"\ncores = 2\ndrain_wait = \"0s\"\n";
  REQUIRE(talk.start(one).is_ok());
  App::Embedding two;
  two.config = "id = \"dev.w.caller.1\"\ncores = 1\n[router.static]\npeers = [\"dev.w.talk.1@" +
               talk.address().to_string() + "\"]\n";
  REQUIRE(caller.start(two).is_ok());
  auto ask = [&](Ctx& ctx) -> Task<std::string> {
    TalkClient client(caller);
    const auto req = question("hi");
    const auto rsp = co_await client.ask(ctx, req);
    co_return rsp.text();
  };
  auto answer = caller.runtime().block_on(caller.runtime().core(0), ask);
  REQUIRE(answer.is_ok());
  CHECK(*answer == "you said hi");
  CHECK(caller.stop().is_ok());
  CHECK(talk.stop().is_ok());
  CHECK(talk.stop().is_ok());
  CHECK(talk.start(one).code() == Errc::failed_precondition);
}

TEST_CASE("app: an address that cannot work is reported with its line, before anything starts") {
  const auto refused = [](const std::string& text) {
    App talk("talk");
    App::Embedding one;
    one.config = "id = \"dev.w.talk.1\"\ncores = 1\n" + text;
    const m3::Status status = talk.start(std::move(one));
    CHECK(status == m3::Errc::invalid_argument);
    return status.text();
  };
  CHECK(contains(refused("listen = \"example.com:1\"\n"),
                 "configuration:3: listen: \"example.com\" is not an IP address"));
  CHECK(contains(refused("listen = \"*:0\"\n"), "configuration:3: listen: address \"*:0\""));
  CHECK(contains(refused("[router.static]\npeers = [\"dev.w.talk.2@127.0.0.1:0\"]\n"),
                 "port 0 cannot be connected to"));
}

TEST_CASE("app: an address in use ends the start with a text that names it") {
  App first("talk"), second("talk");
  App::Embedding one;
  one.config = "id = \"dev.w.talk.1\"\nlisten = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"0s\"\n";
  REQUIRE(first.start(one).is_ok());
  App::Embedding two = one;
  two.config =
      "id = \"dev.w.talk.2\"\ncores = 1\nlisten = \"" + first.address().to_string() + "\"\n";
  Status started = second.start(two);
  CHECK(started == Errc::already_exists);
  CHECK(contains(started.text(), first.address().to_string()));
}

namespace {

/// A back end that writes down its life.
class Book final : public m3::Plugin {
 public:
  static constexpr std::string_view kKind = "book", kName = "paper";
  static constexpr int kStage = 20;
  struct Config {
    std::string title = "none";
    int pages = 1;
    static void describe(m3::Schema<Config>& s) {
      s.add("title", &Config::title).reloadable();
      s.add("pages", &Config::pages);
    }
  };
  Book(m3::Env& env, Config config) : config_(std::move(config)) {
    diary.push_back(env.app_id().to_string() + " " + config_.title);
  }
  Task<> start(Ctx&) override { return note("start"); }
  Task<> stop(Ctx&) override { return note("stop"); }
  Task<> reload(Ctx&, Config config) {
    config_ = std::move(config);
    return note("reload " + config_.title);
  }
  const std::string& title() const { return config_.title; }
  static inline Names diary;

 private:
  Task<> note(std::string what) {
    diary.push_back(std::move(what));
    co_return m3::ok;
  }
  Config config_;
};

}  // namespace

CO_TEST("app: a plugin is chosen by its section, started by its stage, and reloaded") {
  Book::diary.clear();
  World world(sim);
  App without("talk");
  without.plugin<Book>();
  co_await without.start(ctx, world.embedding("dev.w.talk.2", ""));
  CHECK(without.find<Book>() == nullptr);
  co_await without.stop(ctx);
  CHECK(Book::diary.empty());

  ConfigFile file("[book.paper]\ntitle = \"one\"\n");
  App app("talk");
  std::string seen;
  struct Hook {
    static Task<> look(App& app, std::string& seen) {
      seen = app.find<Book>()->title();
      co_return m3::ok;
    }
  };
  app.plugin<Book>().on_start([&](Ctx&) { return Hook::look(app, seen); });
  auto embedding = world.embedding("dev.w.talk.1", "");
  embedding.config_file = file.path();
  co_await app.start(ctx, embedding);
  CHECK(seen == "one");
  file.write("[book.paper]\ntitle = \"two\"\n");
  co_await app.reload(ctx);
  file.write("[book.paper]\ntitle = \"three\"\npages = 7\n");
  co_await app.reload(ctx);  // pages needs a restart: the section stays as it was
  CHECK(app.find<Book>()->title() == "two");
  co_await app.stop(ctx);
  CHECK(Book::diary == Names{"dev.w.talk.1 one", "start", "reload two", "stop"});
}
