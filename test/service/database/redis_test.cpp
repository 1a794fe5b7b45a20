// SPDX-License-Identifier: BSL-1.0
// What database.redis promises (m3/plugin/database.h), on a real server.
#include <fmt/format.h>

#include <cstdlib>
#include <random>

#include "m3/async/runtime.h"
#include "m3/testing/database_suite.h"
#include "redis_fixture.h"

using namespace redis_test;

namespace {

/// Requests of which many fit, and many just do not.
class Requests {
 public:
  explicit Requests(std::uint64_t seed) : random_(seed) {}

  RowRequest next() {
    RowRequest out;
    out.kind = static_cast<Kind>(below(8));
    out.table = "random";
    out.key = std::string("k\xff}{\r", 5) + std::to_string(made_++ / 200 * 3 + below(3));
    Row& row = rows_[out.key];
    if (out.kind == Kind::read || out.kind == Kind::activate)
      for (std::uint64_t n = below(4); n > 0; --n) out.select.push_back(number());
    if (out.kind == Kind::create || out.kind == Kind::update || out.kind == Kind::save)
      for (std::uint32_t n = 1; n < 6; ++n)
        if (below(3) == 0)
          out.fields.push_back(some_field(n == 5 && out.kind == Kind::save ? 19001u : n));
    if (out.kind == Kind::save || below(3) == 0) out.version = near(row.head.version);
    out.whole = below(4) == 0;
    out.exists = below(4) != 0;
    out.must_exist = below(4) == 0;
    if (out.kind >= Kind::activate) {
      out.owner.app = "dev.w.app." + std::to_string(below(2));
      // Too large for a double, so that neighbours are the same number to whom computes in those.
      out.owner.generation = (std::uint64_t{1} << 60) + below(3);
      if (below(8) == 0) out.owner.generation = 9 + below(2);
      if (below(2) == 0) out.owner = row.head.owner.empty() ? out.owner : row.head.owner;
      out.owner.address = "127.0.0.1:" + std::to_string(below(3));
      out.epoch = near(row.head.epoch);
      if (out.kind == Kind::activate && below(2) == 0) out.over = near(row.head.epoch);
    }
    return out;
  }
  void saw(const RowRequest& request, const RowAnswer& answer) {
    rows_[request.key].head = answer.head;
  }
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

 private:
  struct Row {
    m3::RowHead head;
  };
  std::uint64_t near(std::uint64_t value) { return below(4) == 0 ? value + below(3) : value; }
  std::uint32_t number() {
    return below(4) == 0 ? 19001 : static_cast<std::uint32_t>(1 + below(5));
  }
  m3::StoredField some_field(std::uint32_t number) {
    if (below(4) == 0) return {number, ""};
    std::string text(below(6) == 0 ? 3000 : 5, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return m3::testing::text_field(number, text);
  }

  std::mt19937_64 random_;
  std::map<std::string, Row> rows_;
  std::uint64_t made_ = 0;
};

std::string told(const RowRequest& request, const RowAnswer& answer) {
  std::string fields;
  for (const auto& field : answer.fields)
    fields += fmt::format(" {}={}", field.number, std::hash<std::string>()(field.bytes));
  return fmt::format("{} {}: {} epoch {} version {} {} owner {}{}", static_cast<int>(request.kind),
                     request.key, row_verdict_name(answer.verdict), answer.head.epoch,
                     answer.head.version, answer.head.exists ? "exists" : "is not",
                     answer.head.owner.to_string(), fields);
}

}  // namespace

TEST_CASE("database: redis keeps the promises") {
  const auto redis = server();
  App app(config(redis->address()));
  REQUIRE(app.started.to_string() == "ok");
  for (const auto& test : m3::testing::database_cases()) {
    DYNAMIC_SECTION(test.name) {
      const Status kept = app.run([&](Ctx& ctx) { return test.body(ctx, app.plugin()); });
      CHECK(kept.to_string() == "ok");
    }
  }
}

TEST_CASE("database: redis answers random requests as memory does") {
  const auto redis = server();
  App app(config(redis->address()));
  App memory("[database.memory]\n");
  REQUIRE(app.started.is_ok());
  const std::uint64_t seed = std::random_device()();
  INFO("seed " << seed);
  Requests requests(seed);
  std::array<int, 7> verdicts{};
  const int times = std::getenv("M3_LONG") ? 100'000 : 5000;  // NOLINT(concurrency-mt-unsafe)
  for (int i = 0; i < times; ++i) {
    const RowRequest next = requests.next();
    const auto wanted = memory.ask([&](Ctx& ctx) { return memory.plugin().step(ctx, next); });
    if (requests.below(500) == 0) REQUIRE(operate(*redis, {"SCRIPT", "FLUSH"}) == "OK");
    const auto got = app.ask([&](Ctx& ctx) { return app.plugin().step(ctx, next); });
    if (!wanted.is_ok()) {
      REQUIRE(got.status().to_string() == wanted.status().to_string());
      continue;
    }
    REQUIRE(got.status().to_string() == "ok");
    requests.saw(next, *wanted);
    ++verdicts.at(static_cast<std::size_t>(wanted->verdict));
    const bool same = got->verdict == wanted->verdict && got->head == wanted->head &&
                      got->fields == wanted->fields;
    if (!same) {
      INFO("step " << i);
      REQUIRE(told(next, *got) == told(next, *wanted));
      FAIL("the fields differ");
    }
  }
  for (const int count : verdicts) CHECK(count > times / 500);
  m3::RowScan scan;
  scan.table = "random";
  scan.limit = m3::RowScan::kLargestPage;
  const auto want = memory.ask([&](Ctx& ctx) { return memory.plugin().scan(ctx, scan); });
  const auto got = app.ask([&](Ctx& ctx) { return app.plugin().scan(ctx, scan); });
  REQUIRE(want.is_ok());
  REQUIRE(got.status().to_string() == "ok");
  REQUIRE(got->rows.size() == want->rows.size());
  for (std::size_t i = 0; i < got->rows.size(); ++i) {
    CHECK(got->rows[i].key == want->rows[i].key);
    CHECK(got->rows[i].head == want->rows[i].head);
    CHECK(got->rows[i].fields == want->rows[i].fields);
  }
}

TEST_CASE("database: redis serves every core, and all see the same rows") {
  const auto redis = server();
  App::Options options;
  options.cores = 3;
  App app(config(redis->address()), options);
  REQUIRE(app.started.to_string() == "ok");
  const Status done = app.run([&](Ctx& ctx) -> Task<> {
    for (unsigned i = 0; i < 3; ++i)
      co_await m3::run_on(ctx, app.runtime().core(i), [&, i](Ctx& there) -> Task<> {
        const std::string key = std::to_string(i);
        co_await app.plugin().create(there, "t", key, text(key));
        co_return m3::ok;
      });
    for (unsigned i = 0; i < 3; ++i)
      co_await m3::run_on(ctx, app.runtime().core(i), [&](Ctx& there) -> Task<> {
        const m3::RowPage page = co_await app.plugin().scan(there, {.table = "t"});
        if (page.rows.size() != 3) co_return Status(Errc::internal, "not all rows");
        co_return m3::ok;
      });
    co_return m3::ok;
  });
  CHECK(done.to_string() == "ok");
}

TEST_CASE("database: a scan of redis passes over keys that have no row") {
  const auto redis = server();
  App app(config(redis->address(), "prefix = \"p:\"\n"));
  REQUIRE(app.started.is_ok());
  for (const char* key : {"b", "d"}) {
    const Status made =
        app.ask([&](Ctx& ctx) { return app.plugin().create(ctx, "t", key, text(key)); }).status();
    REQUIRE(made.is_ok());
  }
  // As an app leaves them that ended between the index and the row.
  REQUIRE(operate(*redis, {"ZADD", "p:{t}:keys", "0", "a", "0", "c", "0", "e"}) == "3");
  for (const std::size_t limit : {1u, 2u, 100u}) {
    std::string found;
    m3::RowScan scan;
    scan.table = "t";
    scan.limit = limit;
    do {
      const auto page = app.ask([&](Ctx& ctx) { return app.plugin().scan(ctx, scan); });
      REQUIRE(page.status().to_string() == "ok");
      CHECK(page->rows.size() <= limit);
      for (const auto& row : page->rows) found += row.key;
      scan.after = page->next;
    } while (!scan.after.empty());
    CHECK(found == "bd");
  }
}

TEST_CASE("database: redis reports a row that cannot be read, and serves the others") {
  const auto redis = server();
  App app(config(redis->address()));
  REQUIRE(app.started.is_ok());
  REQUIRE(operate(*redis, {"SET", "m3:{t:text}", "x"}) == "OK");
  REQUIRE(operate(*redis, {"HSET", "m3:{t:head}", "_e", "1e3", "_x", "1"}) == "2");
  REQUIRE(operate(*redis, {"HSET", "m3:{t:field}", "_x", "1", "_i", "1", "1x", "a"}) == "3");
  REQUIRE(operate(*redis, {"HSET", "m3:{t:field0}", "_x", "1", "_i", "1", "0", "a"}) == "3");
  for (const char* key : {"text", "head", "field0"}) {
    INFO(key);
    const auto read = step(app, request(Kind::read, key));
    CHECK(read.status() == Errc::data_loss);
    INFO(read.status().to_string());
  }
  CHECK(step(app, request(Kind::read, "field")).is_ok());  // not a number: not a field of ours
  CHECK(step(app, request(Kind::create, "good")).is_ok());
  CHECK(step(app, request(Kind::read, "good")).is_ok());
}

TEST_CASE("database: epochs and versions of redis grow beyond what a double counts") {
  const auto redis = server();
  App app(config(redis->address()));
  REQUIRE(app.started.is_ok());
  for (const std::uint64_t number :
       {std::uint64_t{8}, std::uint64_t{9}, std::uint64_t{99}, std::uint64_t{1099},
        (std::uint64_t{1} << 53) - 1, std::uint64_t{1} << 53, (std::uint64_t{1} << 53) + 1,
        UINT64_MAX - 1}) {
    INFO(number);
    const std::string key = std::to_string(number);
    REQUIRE(operate(*redis, {"HSET", "m3:{t:" + key + "}", "_v", key, "_x", "1"}) == "2");
    RowRequest update = request(Kind::update, key);
    update.version = number;
    auto row = step(app, update);
    REQUIRE(row.status().to_string() == "ok");
    CHECK(row->verdict == RowVerdict::done);
    CHECK(row->head.version == number + 1);
    REQUIRE(operate(*redis, {"HSET", "m3:{t:" + key + "}", "_e", key}) == "1");
    row = step(app, request(Kind::activate, key));
    REQUIRE(row.status().to_string() == "ok");
    CHECK(row->head.epoch == number + 1);
  }
}

TEST_CASE("database: a row of redis may have many fields") {
  const auto redis = server();
  App app(config(redis->address()));
  REQUIRE(app.started.is_ok());
  RowRequest create = request(Kind::create, "wide");
  for (std::uint32_t n = 1; n <= 9000; ++n)
    create.fields.push_back(m3::testing::text_field(n, "b" + std::to_string(n)));
  REQUIRE(step(app, create).status().to_string() == "ok");
  RowRequest read = request(Kind::read, "wide");
  auto row = step(app, read);
  REQUIRE(row.status().to_string() == "ok");
  CHECK(row->fields == create.fields);
  for (std::uint32_t n = 9000; n > 0; --n) read.select.push_back(n);
  row = step(app, read);
  REQUIRE(row.status().to_string() == "ok");
  CHECK(row->fields == create.fields);
  RowRequest whole = request(Kind::update, "wide");
  whole.whole = true;
  whole.fields = {m3::testing::text_field(7, "seven")};
  REQUIRE(step(app, whole).status().to_string() == "ok");
  row = step(app, request(Kind::read, "wide"));
  REQUIRE(row.is_ok());
  CHECK(row->fields == whole.fields);
}
