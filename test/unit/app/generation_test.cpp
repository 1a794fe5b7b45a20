// SPDX-License-Identifier: BSL-1.0
// The number of a start, as the app's databases remember it.
#include <string>

#include "app_fixture.h"
#include "m3/base/host_port.h"
#include "m3/plugin/database.h"
#include "m3/store.pb.h"

using app_test::contains;
using app_test::Names;
using app_test::Talk;
using app_test::World;
using m3::App;
using m3::as_result;
using m3::Ctx;
using m3::Database;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

constexpr std::uint64_t kFarAhead = std::uint64_t{4} << 60;  // in the year 2116

struct Town : World {
  explicit Town(m3::testing::SimRuntime& runtime) : World(runtime) {}
  App::Embedding house(const std::string& id, const std::string& config) {
    return net.embedding(id, config + "[database.memory]\n");
  }
};

/// What the app's database says of the last start of `id`.
Task<m3::store::AppStart> last_start(Ctx& ctx, App& app, std::string id) {
  const auto row = co_await app.find<Database>()->read(ctx, "_app", std::move(id));
  m3::store::AppStart start;
  CHECK(start.ParseFromString(m3::join(row.fields)));
  co_return start;
}

/// As a start in the future, or one of a machine whose clock is ahead, would have left it.
Task<> write_start(Ctx& ctx, App& app, std::string id, std::uint64_t generation,
                   std::string address) {
  m3::store::AppStart start;
  start.set_id(id);
  start.set_generation(generation);
  start.set_address(std::move(address));
  start.set_run(1);
  m3::StoredFields fields;
  CHECK(m3::split(start.SerializeAsString(), fields).is_ok());
  Database& database = *app.find<Database>();
  const auto made = co_await as_result(database.create(ctx, "_app", id, fields));
  if (!made.is_ok()) co_await database.update(ctx, "_app", id, fields);
  co_return m3::ok;
}

}  // namespace

CO_TEST("generation: each start has a higher one, also when the clock was ahead before") {
  Town town(sim);
  App keeper("talk");
  co_await keeper.start(ctx, town.house("dev.w.talk.9", ""));
  const auto first_start = co_await last_start(ctx, keeper, "dev.w.talk.9");
  CHECK(first_start.generation() > 1'700'000'000'000'000'000u);  // the clock's
  CHECK(first_start.address().empty());
  co_await write_start(ctx, keeper, "dev.w.talk.1", kFarAhead, "sim:77");
  for (std::uint64_t i = 1; i <= 3; ++i) {
    App app("talk");
    app.serve<Talk>(std::make_shared<Names>());
    co_await app.start(ctx, town.house("dev.w.talk.1", "listen = \"sim:1\"\n"));
    const auto start = co_await last_start(ctx, app, "dev.w.talk.1");
    CHECK(start.generation() == kFarAhead + i);
    CHECK(start.address() == "sim:1");
    co_await app.stop(ctx);
  }
  co_await keeper.stop(ctx);
}

CO_TEST("generation: who starts while its last start is alive ends, whatever the router knows") {
  Town town(sim);
  App first("talk");
  first.serve<Talk>(std::make_shared<Names>());
  co_await first.start(ctx, town.house("dev.w.talk.1", "listen = \"sim:1\"\n"));
  App twin("talk");
  twin.serve<Talk>(std::make_shared<Names>());
  // It shares the database, and nothing else.
  const Status status =
      (co_await as_result(twin.start(ctx, town.house("dev.w.talk.1",
                                                     "listen = \"sim:2\"\n[router.static]\n"
                                                     "peers = [\"dev.w.other.1@sim:9\"]\n"))))
          .status();
  CHECK(status == Errc::already_exists);
  CHECK(contains(status.text(), "dev.w.talk.1 is already running at sim:1"));
  const auto start = co_await last_start(ctx, first, "dev.w.talk.1");
  CHECK(start.address() == "sim:1");
  co_await first.stop(ctx);
}

CO_TEST("generation: the address of a last start that is gone keeps nobody from starting") {
  Town town(sim);
  App keeper("talk");
  co_await keeper.start(ctx, town.house("dev.w.talk.9", ""));
  co_await write_start(ctx, keeper, "dev.w.talk.1", 5, "sim:77");
  App app("talk");
  co_await app.start(ctx, town.house("dev.w.talk.1", ""));
  const auto start = co_await last_start(ctx, app, "dev.w.talk.1");
  CHECK(start.generation() > 5);
  co_await app.stop(ctx);
  co_await keeper.stop(ctx);
}

CO_TEST("generation: a start that was overtaken before it could be asked ends") {
  Town town(sim);
  App keeper("talk");
  co_await keeper.start(ctx, town.house("dev.w.talk.9", ""));
  App first("talk");
  first.serve<Talk>(std::make_shared<Names>());
  // Before it listens, another start of the id writes its row.
  first.on_start(
      [&](Ctx& own) { return write_start(own, keeper, "dev.w.talk.1", kFarAhead, "sim:77"); });
  const Status status =
      (co_await as_result(first.start(ctx, town.house("dev.w.talk.1", "listen = \"sim:1\"\n"))))
          .status();
  CHECK(status == Errc::already_exists);
  CHECK(contains(status.text(), "was started a second time meanwhile"));
  co_await keeper.stop(ctx);
}
