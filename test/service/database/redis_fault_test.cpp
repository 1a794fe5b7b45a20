// SPDX-License-Identifier: BSL-1.0
// What becomes of steps when a Redis server goes away, refuses, or falls silent.
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "m3/async/scope.h"
#include "m3/async/when.h"
#include "m3/testing/chaos_proxy.h"
#include "redis_fixture.h"

using namespace redis_test;

namespace {

using m3::testing::ChaosProxy;

/// A step that is under way while the test goes on.
class Flying {
 public:
  Flying(App& app, RowRequest wanted) {
    thread_ = std::thread([this, &app, wanted = std::move(wanted)] {
      outcome_ = app.ask([&](Ctx& ctx) -> Task<RowAnswer> {
        begun_ = true;
        co_return co_await m3::within(ctx, 20s,
                                      [&](Ctx& soon) { return app.plugin().step(soon, wanted); });
      });
    });
    CHECK(eventually([this] { return begun_.load(); }));
    // What the core's turn gathered has left when the turn after it runs.
    for (int turn = 0; turn < 2; ++turn) CHECK(app.on_core([] {}).is_ok());
  }
  Flying(const Flying&) = delete;
  Flying& operator=(const Flying&) = delete;
  ~Flying() {
    if (thread_.joinable()) thread_.join();
  }
  Result<RowAnswer> outcome() {
    thread_.join();
    return *std::move(outcome_);
  }

 private:
  std::atomic<bool> begun_{false};
  std::optional<Result<RowAnswer>> outcome_;
  std::thread thread_;
};

/// What writers have seen; of all of them.
struct Tally {
  std::atomic<int> saved{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  Lines wrong;
  void blame(const std::string& what) {
    const std::lock_guard lock(mutex);
    wrong.push_back(what);
    stop = true;
  }
};

Task<RowAnswer> soon(Ctx& ctx, Database& database, RowRequest wanted) {
  return m3::within(ctx, 5s, [&database, wanted = std::move(wanted)](Ctx& in_time) {
    return database.step(in_time, wanted);
  });
}

/// The owner of a row: saves 1, 2, 3 … and sends a save again until it knows what became of it.
Task<> save_all_the_time(Ctx& ctx, Database& database, std::string key, Tally& tally) {
  RowRequest save = request(Kind::save, key);
  save.version = 0;
  for (;;) {
    const auto owned = co_await as_result(soon(ctx, database, request(Kind::activate, key)));
    if (!owned.is_ok()) continue;
    save.epoch = owned->head.epoch;
    break;
  }
  while (!tally.stop) {
    save.fields = text(std::to_string(*save.version + 1));
    for (bool unknown = false;;) {
      const auto saved = co_await as_result(soon(ctx, database, save));
      if (!saved.is_ok()) {
        unknown = unknown || saved.status().maybe_executed();
        continue;
      }
      const bool was_saved = saved->verdict == RowVerdict::version_differs && unknown;
      const bool good = saved->verdict == RowVerdict::done || was_saved;
      if (!good || saved->head.version != *save.version + 1)
        tally.blame(key + ": save " + std::to_string(*save.version) + " is " +
                    std::string(row_verdict_name(saved->verdict)) + " at version " +
                    std::to_string(saved->head.version));
      break;
    }
    ++*save.version;
    ++tally.saved;
  }
  const auto row = co_await as_result(soon(ctx, database, request(Kind::read, key)));
  if (!row.is_ok() || row->head.version != *save.version || row->fields != save.fields)
    tally.blame(key + ": the last save is not there");
  co_return m3::ok;
}

/// Counts writes that expect no version: those that are known, and those that may have been.
Task<> update_all_the_time(Ctx& ctx, Database& database, std::string key, Tally& tally) {
  RowRequest update = request(Kind::update, key);
  std::uint64_t known = 0, unknown = 0;
  while (!tally.stop) {
    const auto written = co_await as_result(soon(ctx, database, update));
    if (written.is_ok())
      ++known;
    else if (written.status().maybe_executed())
      ++unknown;
  }
  const auto row = co_await as_result(soon(ctx, database, request(Kind::read, key)));
  if (!row.is_ok() || row->head.version < 1 + known || row->head.version > 1 + known + unknown)
    tally.blame(key + ": " + std::to_string(known) + " updates, " + std::to_string(unknown) +
                " unknown, but version " +
                (row.is_ok() ? std::to_string(row->head.version) : row.status().to_string()));
  co_return m3::ok;
}

constexpr Kind kKinds[] = {Kind::read,     Kind::create, Kind::update, Kind::erase,
                           Kind::activate, Kind::save,   Kind::check,  Kind::release};

/// A request of the kind that is done on the rows "open" and "own" of prepare().
RowRequest fitting(Kind kind) {
  RowRequest out = request(kind, kind == Kind::create    ? "new"
                                 : kind < Kind::activate ? "open"
                                                         : "own");
  out.epoch = 1;
  if (kind == Kind::save) out.version = 0;
  return out;
}

void prepare(App& app) {
  REQUIRE(app.started.to_string() == "ok");
  RowRequest open = request(Kind::create, "open");
  open.fields = {m3::testing::text_field(1, "one"), m3::testing::text_field(2, "two")};
  REQUIRE(step(app, open).is_ok());
  REQUIRE(step(app, request(Kind::activate, "own")).is_ok());
}

}  // namespace

TEST_CASE("database: no save is lost or applied twice while redis is killed and cut off") {
  const auto redis = server({"--appendfsync", "always"}, true);
  auto proxy = ChaosProxy::start(redis->address());
  REQUIRE(proxy.is_ok());
  App app(config((*proxy)->address(), "retry_time = \"300ms\"\n"));
  REQUIRE(app.started.is_ok());
  constexpr int kWriters = 8;
  for (int i = 0; i < kWriters; ++i)
    REQUIRE(step(app, request(Kind::create, "open" + std::to_string(i))).is_ok());
  Tally tally;
  std::thread writers([&] {
    const Status ended = app.run([&](Ctx& ctx) -> Task<> {
      m3::Scope scope(ctx.core());
      for (int i = 0; i < kWriters; ++i) {
        scope.spawn("saves", [&, i](Ctx& own) {
          return save_all_the_time(own, app.plugin(), "own" + std::to_string(i), tally);
        });
        scope.spawn("updates", [&, i](Ctx& own) {
          return update_all_the_time(own, app.plugin(), "open" + std::to_string(i), tally);
        });
      }
      co_await scope.drain(ctx);
      co_return m3::ok;
    });
    if (!ended) tally.blame(ended.to_string());
  });
  for (int round = 0; round < 5; ++round) {
    const int before = tally.saved;
    CHECK(eventually([&] { return tally.saved > before + 300 || tally.stop; }));
    redis->kill9();
    CHECK(redis->start_again().to_string() == "ok");
    // And steps that are run and not answered.
    const int again = tally.saved;
    CHECK(eventually([&] { return tally.saved > again + 300 || tally.stop; }));
    (*proxy)->black_hole(true, ChaosProxy::Way::to_client);
    CHECK(operate(*redis, {"PING"}) == "PONG");  // behind what the writers have sent
    (*proxy)->cut_all();
    (*proxy)->behave();
  }
  const int before = tally.saved;
  CHECK(eventually([&] { return tally.saved > before + 300 || tally.stop; }));
  tally.stop = true;
  writers.join();
  CAPTURE(tally.wrong);
  CHECK(tally.wrong.empty());
}

TEST_CASE("database: what may run twice is sent again when redis dies under it") {
  for (const Kind kind : kKinds) {
    INFO("kind " << static_cast<int>(kind));
    const auto redis = server({}, true);
    App app(config(redis->address(), "retry_time = \"20s\"\n"));
    prepare(app);
    redis->freeze();
    Flying flying(app, fitting(kind));
    redis->kill9();
    REQUIRE(redis->start_again().is_ok());
    const auto outcome = flying.outcome();
    // A create puts its key into the index first, and waits for that.
    if (kind == Kind::read || kind == Kind::check || kind == Kind::activate ||
        kind == Kind::create) {
      REQUIRE(outcome.status().to_string() == "ok");
      CHECK(outcome->verdict == RowVerdict::done);
      CHECK(outcome->head.epoch == (kind == Kind::check || kind == Kind::activate ? 1 : 0));
    } else {
      CHECK(outcome.status() == Errc::unavailable);
      CHECK(outcome.status().maybe_executed());
    }
  }
}

TEST_CASE("database: while redis is away steps wait for it a while, and are not executed") {
  const auto redis = server({}, true);
  App patient(config(redis->address(), "retry_time = \"20s\"\n"));
  App app(config(redis->address(), "retry_time = \"50ms\"\n"));
  prepare(app);
  redis->kill9();
  const auto is_away = [&](App& of, const RowRequest& wanted, m3::Nanos limit, Errc code) {
    const Status status = step(of, wanted, limit).status();
    INFO(status.to_string());
    // The first one may find the connection before its end does.
    if (status.maybe_executed()) return false;
    CHECK(status == code);
    CHECK(status.text().find(redis->address().to_string()) != std::string::npos);
    return true;
  };
  for (const Kind kind : kKinds) {
    CHECK(eventually([&] { return is_away(app, fitting(kind), 20s, Errc::unavailable); }));
    CHECK(
        eventually([&] { return is_away(patient, fitting(kind), 50ms, Errc::deadline_exceeded); }));
  }
  Flying flying(patient, fitting(Kind::update));
  REQUIRE(redis->start_again().is_ok());
  const auto outcome = flying.outcome();
  REQUIRE(outcome.status().to_string() == "ok");
  CHECK(outcome->head.version == 2);
  CHECK(eventually([&] { return step(app, fitting(Kind::save)).is_ok(); }));
}

TEST_CASE("database: a frozen redis fails steps at their deadline, and later ones work") {
  const auto redis = server();
  App app(config(redis->address(), "ping_interval = \"100ms\"\nretry_time = \"100ms\"\n"));
  prepare(app);
  redis->freeze();
  for (const Kind kind : kKinds) {
    const Status status = step(app, fitting(kind), 20ms).status();
    CHECK(status == Errc::deadline_exceeded);
    CHECK(status.maybe_executed() == (kind != Kind::create));  // its key was to be listed first
  }
  // It is found to be silent.
  Flying flying(app, request(Kind::update, "open"));
  const Status lost = flying.outcome().status();
  CHECK(lost == Errc::unavailable);
  CHECK(lost.maybe_executed());
  const Status refused = step(app, request(Kind::update, "open")).status();
  CHECK(refused == Errc::unavailable);
  CHECK_FALSE(refused.maybe_executed());
  redis->thaw();
  CHECK(eventually([&] { return step(app, request(Kind::create, "later")).is_ok(); }));
}

TEST_CASE("database: a redis that pauses its clients, or ends them, costs no step") {
  const auto redis = server();
  App app(config(redis->address()));
  prepare(app);
  REQUIRE(operate(*redis, {"CLIENT", "PAUSE", "200", "ALL"}) == "OK");
  CHECK(step(app, fitting(Kind::save)).status().to_string() == "ok");
  for (int i = 0; i < 10; ++i) {
    REQUIRE(operate(*redis, {"CLIENT", "KILL", "TYPE", "normal"}) != "0");
    CHECK(step(app, request(Kind::read, "open")).status().to_string() == "ok");
  }
}

TEST_CASE("database: a redis that has become a replica proves nothing, and is left") {
  const auto redis = server();
  App app(config(redis->address(), "retry_time = \"50ms\"\n"));
  prepare(app);
  RowRequest late = fitting(Kind::save);
  late.epoch = 9;
  RowRequest other = request(Kind::activate, "own");
  other.owner.app = "dev.w.other.1";
  const RowRequest proofs[] = {fitting(Kind::check),
                               late,
                               other,
                               request(Kind::create, "open"),
                               request(Kind::update, "none"),
                               fitting(Kind::save),
                               fitting(Kind::release),
                               fitting(Kind::erase),
                               fitting(Kind::create)};
  for (const RowRequest& wanted : proofs) {
    INFO("kind " << static_cast<int>(wanted.kind) << " of " << wanted.key);
    REQUIRE(operate(*redis, {"REPLICAOF", "127.0.0.1", "1"}) == "OK");
    const Status status = step(app, wanted).status();
    CHECK(status == Errc::unavailable);
    CHECK(status.text().find("READONLY") != std::string::npos);
    CHECK_FALSE(status.maybe_executed());
    REQUIRE(operate(*redis, {"REPLICAOF", "NO", "ONE"}) == "OK");
    CHECK(eventually([&] { return step(app, fitting(Kind::check)).is_ok(); }));
  }
  CHECK(step(app, fitting(Kind::save)).is_ok());
  REQUIRE(operate(*redis, {"REPLICAOF", "127.0.0.1", "1"}) == "OK");
  App::Options hasty;
  hasty.start_timeout = 2s;
  const App waits(config(redis->address()), hasty);
  CHECK(waits.started == Errc::deadline_exceeded);
  CHECK(waits.started.text().find("READONLY") != std::string::npos);
}

TEST_CASE("database: a redis without its replicas or its disk lets rows be read") {
  const auto redis = server();
  App app(config(redis->address(), "retry_time = \"50ms\"\n"));
  prepare(app);
  REQUIRE(operate(*redis, {"CONFIG", "SET", "min-replicas-to-write", "1"}) == "OK");
  App later(config(redis->address(), "retry_time = \"50ms\"\n"));
  for (App* one : {&app, &later}) {
    REQUIRE(one->started.to_string() == "ok");
    const Status status = step(*one, fitting(Kind::save)).status();
    CHECK(status == Errc::unavailable);
    CHECK_FALSE(status.maybe_executed());
    CHECK(step(*one, fitting(Kind::read)).status().to_string() == "ok");
  }
}

TEST_CASE("database: a full redis stores nothing more, and lets rows be read and erased") {
  const auto redis = server();
  App app(config(redis->address()));
  prepare(app);
  REQUIRE(operate(*redis, {"CONFIG", "SET", "maxmemory", "1"}) == "OK");
  RowRequest whole = request(Kind::update, "open");
  whole.whole = true;
  whole.fields = text("x");
  for (const RowRequest& wanted : {fitting(Kind::create), fitting(Kind::update), whole,
                                   fitting(Kind::save), fitting(Kind::activate)}) {
    const Status status = step(app, wanted).status();
    CHECK(status == Errc::resource_exhausted);
    CHECK_FALSE(status.maybe_executed());
  }
  for (const Kind kind : {Kind::read, Kind::check, Kind::release})
    CHECK(step(app, fitting(kind)).status().to_string() == "ok");
  REQUIRE(operate(*redis, {"CONFIG", "SET", "maxmemory", "0"}) == "OK");
  CHECK(step(app, whole).status().to_string() == "ok");
  REQUIRE(operate(*redis, {"CONFIG", "SET", "maxmemory", "1"}) == "OK");
  CHECK(step(app, fitting(Kind::erase)).status().to_string() == "ok");
  REQUIRE(operate(*redis, {"CONFIG", "SET", "maxmemory", "0"}) == "OK");
  const auto row = step(app, fitting(Kind::create));
  REQUIRE(row.is_ok());
  CHECK(row->verdict == RowVerdict::done);
}

TEST_CASE("database: steps of one row keep their order when redis refuses or loses them") {
  const auto redis = server();
  auto proxy = ChaosProxy::start(redis->address());
  REQUIRE(proxy.is_ok());
  App app(config((*proxy)->address(), "retry_time = \"20s\"\n"));
  prepare(app);
  constexpr int kSteps = 30;
  std::uint64_t version = 1;
  const auto writes_before = [](int i, int writes) {
    return writes ? static_cast<std::uint64_t>((i + writes - 1) / writes) : 0;
  };
  // Begins all steps in one turn. Every `writes`-th writes (0: none), and fits only if all writes
  // before it have.
  const auto check_order = [&](int writes, const std::function<void()>& meanwhile) {
    Lines wrong;
    std::vector<int> order;
    std::atomic<bool> begun{false};
    std::thread steps([&] {
      const Status ended = app.run([&](Ctx& ctx) -> Task<> {
        m3::Scope scope(ctx.core());
        for (int i = 0; i < kSteps; ++i)
          scope.spawn("step", [&, i](Ctx& own) -> Task<> {
            const bool is_write = writes && i % writes == 0;
            RowRequest wanted = request(is_write ? Kind::update : Kind::read, "open");
            const std::uint64_t before = version + writes_before(i, writes);
            if (is_write) wanted.version = before;
            const auto answer = co_await as_result(app.plugin().step(own, wanted));
            order.push_back(i);
            if (!answer.is_ok())
              wrong.push_back(answer.status().to_string());
            else if (answer->verdict != RowVerdict::done ||
                     answer->head.version != before + (is_write ? 1 : 0))
              wrong.push_back(std::to_string(i) + " at version " +
                              std::to_string(answer->head.version));
            co_return m3::ok;
          });
        begun = true;
        co_await scope.drain(ctx);
        co_return m3::ok;
      });
      if (!ended) wrong.push_back(ended.to_string());
    });
    CHECK(eventually([&] { return begun.load(); }));
    for (int turn = 0; turn < 2; ++turn) CHECK(app.on_core([] {}).is_ok());
    meanwhile();
    steps.join();
    CAPTURE(wrong);
    CHECK(wrong.empty());
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(order.size() == kSteps);
    version += writes_before(kSteps, writes);
  };
  for (int round = 0; round < 10; ++round) {
    INFO("round " << round);
    // It forgets the script.
    REQUIRE(operate(*redis, {"SCRIPT", "FLUSH"}) == "OK");
    check_order(3, [] {});
    // It refuses writes for a while.
    REQUIRE(operate(*redis, {"CONFIG", "SET", "min-replicas-to-write", "1"}) == "OK");
    check_order(3, [&] {
      CHECK(operate(*redis, {"CONFIG", "SET", "min-replicas-to-write", "0"}) == "OK");
    });
    // What reads is lost, and sent again.
    (*proxy)->black_hole(true, ChaosProxy::Way::to_client);
    check_order(0, [&] {
      (*proxy)->cut_all();
      (*proxy)->behave();
    });
  }
}

TEST_CASE("database: more than max_pending does not wait for redis") {
  const auto redis = server();
  App app(config(redis->address(), "max_pending = \"1MiB\"\n"));
  prepare(app);
  redis->freeze();
  std::vector<Status> outcomes;
  const Status ended = app.run([&](Ctx& ctx) -> Task<> {
    m3::Scope scope(ctx.core());
    for (int i = 0; i < 3; ++i)
      scope.spawn("step", [&](Ctx& own) -> Task<> {
        RowRequest large = request(Kind::create, "new");
        large.fields = {m3::testing::text_field(1, std::string(500u << 10, 'x'))};
        outcomes.push_back((co_await as_result(m3::within(own, 100ms, [&](Ctx& in_time) {
                             return app.plugin().step(in_time, large);
                           }))).status());
        co_return m3::ok;
      });
    co_await scope.drain(ctx);
    co_return m3::ok;
  });
  REQUIRE(ended.is_ok());
  REQUIRE(outcomes.size() == 3);
  CHECK(outcomes[0] == Errc::resource_exhausted);  // at once
  CHECK_FALSE(outcomes[0].maybe_executed());
  CHECK(outcomes[1] == Errc::deadline_exceeded);
  CHECK(outcomes[2] == Errc::deadline_exceeded);
  redis->thaw();
  CHECK(eventually([&] { return step(app, fitting(Kind::create)).is_ok(); }));
}

TEST_CASE("database: a start waits for its redis, and says what a server refuses") {
  App::Options hasty;
  hasty.start_timeout = 2s;
  SECTION("it is not there yet") {
    auto made = RealService::prepare(RealService::Kind::redis);
    REQUIRE(made.is_ok());
    RealService& redis = **made;
    const App missing(config(redis.address()), hasty);
    CHECK(missing.started == Errc::deadline_exceeded);
    CHECK(missing.started.text().find(redis.address().to_string()) != std::string::npos);
    Status patient;
    std::thread waiting([&] { patient = App(config(redis.address())).started; });
    const Status up = redis.start_again();
    waiting.join();
    CHECK(up.is_ok());
    CHECK(patient.to_string() == "ok");
  }
  SECTION("it does not answer") {
    const auto redis = server();
    redis->freeze();
    App::Options patient;
    patient.start_timeout = 1s;
    const App silent(config(redis->address(), "connect_timeout = \"50ms\"\n"), patient);
    CHECK(silent.started == Errc::deadline_exceeded);
    CHECK(silent.started.text().find(": no answer") != std::string::npos);
  }
  SECTION("the password is wrong") {
    const auto redis = server({"--requirepass", "right-one"});
    const App wrong(config(redis->address(), "password = \"wrong-one\"\n"));
    CHECK(wrong.started == Errc::unauthenticated);
    CHECK(wrong.started.text().find("wrong-one") == std::string::npos);
    CHECK(App(config(redis->address())).started == Errc::unauthenticated);
    CHECK(App(config(redis->address(), "password = \"right-one\"\n")).started.is_ok());
  }
  SECTION("the user may not use the keys, or run scripts") {
    const auto redis =
        server({"--user", "a", "on", ">p", "~other:*", "+@all", "--user", "b", "on", ">p", "~m3:*",
                "+@all", "-evalsha", "--user", "c", "on", ">p", "~m3:*", "+@all"});
    const auto started = [&](const std::string& user) {
      return App(config(redis->address(), "user = \"" + user + "\"\npassword = \"p\"\n")).started;
    };
    CHECK(started("a") == Errc::permission_denied);
    CHECK(started("b") == Errc::permission_denied);
    CHECK(started("c").to_string() == "ok");
  }
  SECTION("it is a node of a cluster") {
    const auto redis = server({"--cluster-enabled", "yes"});
    const App node(config(redis->address()));
    CHECK(node.started == Errc::failed_precondition);
    CHECK(node.started.text().find("cluster") != std::string::npos);
  }
}
