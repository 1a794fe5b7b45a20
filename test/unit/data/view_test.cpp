// SPDX-License-Identifier: BSL-1.0
#include "m3/data/view.h"

#include "data_test.pb.h"
#include "m3/testing/catch.h"

using data_test::RoleDb;
using m3::View;

namespace {

RoleDb full() {
  RoleDb role;
  role.set_role_id("42");
  role.mutable_base()->set_name("ann");
  role.mutable_base()->set_level(7);
  role.mutable_base()->set_secret("pw");
  (*role.mutable_items())["sword"].set_id(1);
  (*role.mutable_items())["sword"].set_price(100);
  role.add_mails()->set_id(5);
  role.mutable_house()->set_id(9);
  role.mutable_house()->set_price(1000);
  role.add_numbers(3);
  data_test::Tree* tree = role.mutable_tree();
  tree->add_children()->add_children()->set_label("leaf");
  return role;
}

}  // namespace

TEST_CASE("view: it has what is shown, whole or in part, and nothing else") {
  const View view(*RoleDb::descriptor(), "public");
  RoleDb expected;
  expected.set_role_id("42");
  expected.mutable_base()->set_name("ann");
  expected.mutable_base()->set_level(7);
  (*expected.mutable_items())["sword"].set_id(1);
  expected.mutable_house()->set_id(9);
  CHECK(view.of(full()).DebugString() == expected.DebugString());
  CHECK(view.shows_anything());
}

TEST_CASE("view: what contains itself is shown as deep as it is") {
  const View view(*RoleDb::descriptor(), "friends");
  RoleDb expected;
  expected.mutable_base()->set_level(7);
  expected.add_mails()->set_id(5);
  expected.mutable_tree()->add_children()->add_children()->set_label("leaf");
  CHECK(view.of(full()).DebugString() == expected.DebugString());
}

TEST_CASE("view: one that no field names shows nothing") {
  const View view(*RoleDb::descriptor(), "nobody");
  CHECK_FALSE(view.shows_anything());
  CHECK(view.of(full()).ByteSizeLong() == 0);
}

TEST_CASE("view: m3game's flags") {
  data_test::ActorDB actor;
  actor.set_actorid("1");
  actor.mutable_name()->set_name("ann");
  actor.mutable_info()->set_level(3);
  const auto all = View(*data_test::ActorDB::descriptor(), "all").of(actor);
  CHECK(all.name().name() == "ann");
  CHECK_FALSE(all.has_info());
  CHECK(all.actorid().empty());
  const auto self = View(*data_test::ActorDB::descriptor(), "self").of(actor);
  CHECK(self.name().name() == "ann");
  CHECK(self.info().level() == 3);
}

TEST_CASE("view: what is hidden is hidden also inside of what is shown") {
  data_test::Chest chest;
  chest.set_id("1");
  chest.mutable_drawer()->set_label("top");
  chest.mutable_drawer()->set_pin("1234");
  chest.mutable_drawer()->add_inside()->set_pin("5678");
  chest.mutable_drawer()->mutable_inside(0)->set_label("box");
  chest.add_numbers(3);
  chest.add_numbers(0);
  chest.add_blobs("x");
  data_test::Chest expected;
  expected.mutable_drawer()->set_label("top");
  expected.mutable_drawer()->add_inside()->set_label("box");
  expected.add_numbers(3);
  expected.add_numbers(0);
  const View view(*data_test::Chest::descriptor(), "public");
  CHECK(view.of(chest).DebugString() == expected.DebugString());
  const auto friends = View(*data_test::Chest::descriptor(), "friends").of(chest);
  CHECK(friends.blobs_size() == 1);
  CHECK_FALSE(friends.has_drawer());
}

TEST_CASE("view: a message of another type has nothing in it") {
  const View view(*data_test::Chest::descriptor(), "public");
  const RoleDb role = full();
  CHECK(view.of(role).ByteSizeLong() == 0);
  const google::protobuf::Message& any = role;
  CHECK(view.of(any)->ByteSizeLong() == 0);
}
