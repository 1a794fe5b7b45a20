// SPDX-License-Identifier: BSL-1.0
// The seed's chapter on data: entities, what is known of them, the database, the wrapper.
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "m3/app/app.h"
#include "m3/data/app_database.h"
#include "m3/data/record.h"
#include "m3/testing/catch.h"
#include "m3/testing/require_service.h"
#include "seed.pb.h"

namespace {

using m3::Ctx;
using m3::Database;
using m3::Errc;
using m3::Record;
using m3::Task;
using seed::ActorDB;
using seed::ActorInfo;
using seed::ActorName;

seed::ActorName named(const std::string& name) {
  seed::ActorName out;
  out.set_name(name);
  return out;
}

/// As the database plugin that a service would find.
struct Store {
  explicit Store(const std::string& section = "[database.memory]\n") : app("actor") {
    m3::App::Embedding embedding;
    embedding.config = "id = \"dev.w.actor.1\"\ncores = 1\n" + section;
    const m3::Status started = app.start(std::move(embedding));
    REQUIRE(started.to_string() == "ok");
  }
  ~Store() { (void)app.stop(); }
  template <class Body>
  m3::Status run(Body body) {
    return app
        .block_on([&](Ctx& ctx) -> Task<> {
          auto database = m3::find_database(ctx);
          if (!database.is_ok()) co_return database.status();
          co_await body(ctx, **database);
          co_return m3::ok;
        })
        .status();
  }
  m3::App app;
};

}  // namespace

TEST_CASE("S26: an entity is a message whose option names its key") {
  // Its fields besides the key are messages of distinct types; what is not so is refused with file
  // and line (test/golden/refused/entities.proto).
  const m3::TableMeta& meta = m3::table_meta<ActorDB>();
  REQUIRE(meta.find("ActorID"));
  CHECK(meta.find("ActorID")->is_key);
}

TEST_CASE("S27: name, table, key field, all fields and the maker of an entity are known") {
  const m3::Result<m3::TableMeta> meta =
      m3::make_table_meta(ActorDB::default_instance(), "actor_table");
  REQUIRE(meta.is_ok());
  CHECK(meta->name == "seed.ActorDB");
  CHECK(meta->table == "actor_table");
  CHECK(meta->find(meta->key)->name == "ActorID");
  std::string names;
  for (const m3::FieldMeta& field : meta->fields) names += field.name + " ";
  CHECK(names == "ActorID ActorName ActorInfo ");
  const std::unique_ptr<google::protobuf::Message> made(meta->prototype->New());
  CHECK(made->GetTypeName() == "seed.ActorDB");
}

TEST_CASE("S28: stateless services read, update, create and delete, field by field") {
  Store store;
  const m3::Status done = store.run([](Ctx& ctx, Database& db) -> Task<> {
    Record<ActorDB> actor("ActorID123");
    CHECK((co_await as_result(actor.read(ctx, db))).status() == Errc::not_found);
    CHECK((co_await as_result(actor.erase(ctx, db))).status() == Errc::not_found);
    actor.set(named("ann"));
    CHECK((co_await as_result(actor.update(ctx, db))).status() == Errc::not_found);
    co_await actor.create(ctx, db);
    CHECK((co_await as_result(actor.create(ctx, db))).status() == Errc::already_exists);
    // The filter: only the name.
    Record<ActorDB> some("ActorID123");
    std::vector<std::uint32_t> only_name{ActorDB::kActorNameFieldNumber};
    co_await some.read(ctx, db, only_name);
    CHECK(some.get<ActorName>().name() == "ann");
    co_await actor.erase(ctx, db);
    CHECK((co_await as_result(some.read(ctx, db))).status() == Errc::not_found);
    co_return m3::ok;
  });
  CHECK(done.to_string() == "ok");
}

namespace {

/// Writes an entity with one app, and reads it with the next.
std::string keeps_an_entity(const std::string& section) {
  const m3::Status written = Store(section).run([](Ctx& ctx, Database& db) -> Task<> {
    Record<ActorDB> actor("ActorID123");
    actor.set(named("ann"));
    co_await actor.create(ctx, db);
    co_return m3::ok;
  });
  if (!written) return written.to_string();
  std::string name;
  const m3::Status read = Store(section).run([&](Ctx& ctx, Database& db) -> Task<> {
    Record<ActorDB> actor("ActorID123");
    co_await actor.read(ctx, db);
    name = actor.get<ActorName>().name();
    co_return m3::ok;
  });
  return read ? name : read.to_string();
}

}  // namespace

TEST_CASE("S29: a memory database, an embedded one that survives, and Redis") {
  // Each passes the same suite: test/unit/plugins/database_test.cpp, test/service/database.
  CHECK(keeps_an_entity("[database.memory]\n") ==
        "not_found: there is no actor_db 'ActorID123'");  // gone with its process, as in the seed
  const std::string file =
      (std::filesystem::temp_directory_path() / ("m3-seed-" + std::to_string(::getpid()))).string();
  CHECK(keeps_an_entity("[database.sqlite]\npath = \"" + file + "\"\n") == "ann");
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file + end);
  const auto redis = m3::testing::require_service(m3::testing::RealService::Kind::redis);
  CHECK(keeps_an_entity("[database.redis]\naddress = \"" + redis->address().to_string() + "\"\n") ==
        "ann");
}

TEST_CASE("S30: the wrapper sets and gets by type, and writes only what is dirty") {
  Store store;
  const m3::Status done = store.run([](Ctx& ctx, Database& db) -> Task<> {
    Record<ActorDB> wrapper("ActorID123");
    CHECK(wrapper.key() == "ActorID123");
    CHECK(wrapper.get().actorid() == "ActorID123");
    co_await wrapper.create(ctx, db);
    Record<ActorDB> other("ActorID123");
    co_await other.read(ctx, db);
    ActorInfo info = other.get<ActorInfo>();
    info.set_level(9);
    other.set(info);
    co_await other.update(ctx, db);
    // The seed's lines.
    ActorName name = wrapper.get<ActorName>();
    name.set_name("王小明");
    wrapper.set(name);
    CHECK(wrapper.has_dirty());
    if (wrapper.has_dirty()) co_await wrapper.update(ctx, db);
    CHECK_FALSE(wrapper.has_dirty());
    co_await other.read(ctx, db);
    CHECK(other.get<ActorName>().name() == "王小明");
    CHECK(other.get<ActorInfo>().level() == 9);
    co_return m3::ok;
  });
  CHECK(done.to_string() == "ok");
}
