// SPDX-License-Identifier: BSL-1.0
#include "m3/data/record.h"

#include <stdexcept>
#include <string>

#include "data_test.pb.h"
#include "m3/testing/catch.h"
#include "m3/testing/plugin_host.h"

namespace {

using data_test::Base;
using data_test::RoleDb;
using m3::Ctx;
using m3::Database;
using m3::Errc;
using m3::Record;
using m3::Status;
using Numbers = std::vector<std::uint32_t>;

struct Store : m3::testing::PluginHost<Database> {
  Store() : PluginHost("[database.memory]\n") { REQUIRE(started.is_ok()); }
  template <class R>
  Status read(R& record, Numbers fields = {}) {
    return run([&](Ctx& ctx) { return record.read(ctx, plugin(), fields); });
  }
  template <class R>
  Status create(R& record) {
    return run([&](Ctx& ctx) { return record.create(ctx, plugin()); });
  }
  template <class R>
  Status update(R& record) {
    return run([&](Ctx& ctx) { return record.update(ctx, plugin()); });
  }
  template <class R>
  Status update_unchanged(R& record) {
    return run([&](Ctx& ctx) { return record.update_unchanged(ctx, plugin()); });
  }
};

Base named(const std::string& name, int level = 0) {
  Base base;
  base.set_name(name);
  base.set_level(level);
  return base;
}

}  // namespace

TEST_CASE("record: every kind of field is stored and read") {
  Store store;
  Record<RoleDb> role("42");
  RoleDb& all = role.edit(RoleDb::kBaseFieldNumber);
  *all.mutable_base() = named("ann", 7);
  (*all.mutable_items())["sword"].set_price(3);
  (*all.mutable_items())[""];
  all.add_mails()->set_id(1);
  all.add_mails();
  all.add_numbers(0);
  all.add_numbers(-5);
  all.set_town("");  // set, though it is empty
  all.set_luck(0);   // likewise
  all.mutable_born()->set_seconds(-1);
  all.set_rank(data_test::RANK_HIGH);
  all.set_blob(std::string("\0\xff", 2));
  all.set_share(-0.5);
  all.mutable_tree()->add_children()->set_label("x");
  REQUIRE(store.create(role).to_string() == "ok");
  CHECK(role.version() == 1);
  CHECK_FALSE(role.has_dirty());
  Record<RoleDb> again("42");
  REQUIRE(store.read(again).to_string() == "ok");
  CHECK(again.get().DebugString() == role.get().DebugString());
  CHECK(again.get().has_luck());
  CHECK(again.get().home_case() == RoleDb::kTown);
  CHECK(again.version() == 1);
}

TEST_CASE(
    "record: only what was changed is written, and setting the present value changes nothing") {
  Store store;
  Record<RoleDb> one("42"), two("42");
  one.set(named("ann", 1));
  REQUIRE(store.create(one).is_ok());
  REQUIRE(store.read(two).is_ok());
  one.set(named("ann", 1));
  CHECK_FALSE(one.has_dirty());
  one.set(named("ann", 2));
  CHECK(one.dirty_fields() == Numbers{RoleDb::kBaseFieldNumber});
  two.edit(RoleDb::kNumbersFieldNumber).add_numbers(5);
  CHECK(two.dirty_fields() == Numbers{RoleDb::kNumbersFieldNumber});
  REQUIRE(store.update(one).is_ok());
  REQUIRE(store.update(two).is_ok());
  CHECK_FALSE(two.has_dirty());
  REQUIRE(store.update(two).is_ok());  // nothing to write
  CHECK(one.version() == 2);
  CHECK(two.version() == 1);  // what it read is as old as it was
  REQUIRE(store.read(one).is_ok());
  CHECK(one.get<Base>().level() == 2);
  CHECK(one.get().numbers_size() == 1);
}

TEST_CASE("record: a field that was cleared is gone from the row") {
  Store store;
  Record<RoleDb> one("42"), two("42");
  one.set(named("ann"));
  one.edit(RoleDb::kHouseFieldNumber).mutable_house()->set_id(4);
  REQUIRE(store.create(one).is_ok());
  one.edit(RoleDb::kHouseFieldNumber).clear_house();
  REQUIRE(store.update(one).is_ok());
  REQUIRE(store.read(two).is_ok());
  CHECK(two.get().home_case() == RoleDb::HOME_NOT_SET);
}

TEST_CASE("record: some fields are read, and the others stay as they are") {
  Store store;
  Record<RoleDb> one("42"), two("42");
  one.set(named("ann"));
  one.edit(RoleDb::kNumbersFieldNumber).add_numbers(1);
  REQUIRE(store.create(one).is_ok());
  two.set(named("mine"));
  two.edit(RoleDb::kNumbersFieldNumber).add_numbers(9);
  REQUIRE(store.read(two, {RoleDb::kNumbersFieldNumber}).is_ok());
  CHECK(two.get().numbers(0) == 1);
  CHECK(two.get().numbers_size() == 1);
  CHECK(two.get<Base>().name() == "mine");
  CHECK(two.dirty_fields() == Numbers{RoleDb::kBaseFieldNumber});
}

TEST_CASE("record: who writes a row that somebody else has written since is told") {
  Store store;
  Record<RoleDb> one("42"), two("42");
  one.set(named("ann"));
  REQUIRE(store.create(one).is_ok());
  REQUIRE(store.read(two).is_ok());
  one.set(named("eve"));
  REQUIRE(store.update_unchanged(one).is_ok());
  two.set(named("bob"));
  CHECK(store.update_unchanged(two) == Errc::aborted);
  CHECK(two.dirty_fields() == Numbers{RoleDb::kBaseFieldNumber});
  // To read something else does not make what was read before any younger.
  REQUIRE(store.read(two, {RoleDb::kNumbersFieldNumber}).is_ok());
  CHECK(store.update_unchanged(two) == Errc::aborted);
  // Nor does a write that does not look.
  two.edit(RoleDb::kNumbersFieldNumber).add_numbers(1);
  REQUIRE(store.update(two).is_ok());
  two.set(named("bob"));
  two.set(named("eve", 9));
  CHECK(store.update_unchanged(two) == Errc::aborted);
  REQUIRE(store.read(two).is_ok());
  two.set(named("bob"));
  CHECK(store.update_unchanged(two).to_string() == "ok");
}

TEST_CASE("record: to set one field of a oneof removes the others from the row") {
  Store store;
  Record<RoleDb> one("42"), two("42");
  one.edit(RoleDb::kHouseFieldNumber).mutable_house()->set_id(4);
  REQUIRE(store.create(one).is_ok());
  one.edit(RoleDb::kTownFieldNumber).set_town("Bree");
  REQUIRE(store.update(one).is_ok());
  REQUIRE(store.read(two).is_ok());
  CHECK(two.get().town() == "Bree");
  one.edit(RoleDb::kHouseFieldNumber).mutable_house()->set_id(5);
  REQUIRE(store.update(one).is_ok());
  REQUIRE(store.read(two).is_ok());
  CHECK(two.get().house().id() == 5);
}

TEST_CASE("record: a failed write leaves everything dirty, also what was changed meanwhile") {
  Store store;
  Record<RoleDb> role("42");
  role.set(named("ann"));
  CHECK(store.update(role) == Errc::not_found);
  CHECK(role.dirty_fields() == Numbers{RoleDb::kBaseFieldNumber});
  REQUIRE(store.create(role).is_ok());
  CHECK(store.create(role) == Errc::already_exists);
  CHECK_FALSE(role.has_dirty());
}

TEST_CASE("record: what an older program does not know survives its writes") {
  Store store;
  Record<RoleDb> fresh("42");
  fresh.set(named("ann", 7));
  fresh.edit(RoleDb::kNumbersFieldNumber).add_numbers(5);
  REQUIRE(store.create(fresh).is_ok());
  Record<data_test::OldRoleDb> old("42");
  REQUIRE(store.read(old).is_ok());
  data_test::OldBase base = old.get<data_test::OldBase>();
  base.set_name("eve");
  old.set(base);
  REQUIRE(store.update(old).is_ok());
  REQUIRE(store.read(fresh).is_ok());
  CHECK(fresh.get<Base>().name() == "eve");
  CHECK(fresh.get<Base>().level() == 7);
  CHECK(fresh.get().numbers(0) == 5);
}

TEST_CASE("record: an erased entity can be created again") {
  Store store;
  Record<RoleDb> role("42");
  role.set(named("ann"));
  REQUIRE(store.create(role).is_ok());
  REQUIRE(store.run([&](Ctx& ctx) { return role.erase(ctx, store.plugin()); }).is_ok());
  CHECK(role.has_dirty());
  CHECK(store.read(role) == Errc::not_found);
  REQUIRE(store.create(role).is_ok());
  CHECK(role.version() == 3);
}

TEST_CASE("record: wrong use is an error with a sentence") {
  Store store;
  Record<data_test::ByNumber> record("x1");
  CHECK(store.read(record).text() ==
        "'x1' is not a key of data_test.ByNumber: its id is an integer (uint32)");
  CHECK(store.create(record) == Errc::invalid_argument);
  Record<data_test::TwoAlike> two("1");
  CHECK_THROWS_AS(two.get<Base>(), std::logic_error);
  Record<RoleDb> role("1");
  CHECK_THROWS_AS(role.get<data_test::ActorName>(), std::logic_error);
}
