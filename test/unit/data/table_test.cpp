// SPDX-License-Identifier: BSL-1.0
#include "m3/data/table.h"

#include "data_test.pb.h"
#include "m3/testing/catch.h"

namespace {

template <class T>
std::string refusal() {
  return m3::make_table_meta(T::default_instance()).status().to_string();
}

}  // namespace

TEST_CASE("table: what a .proto says of an entity") {
  const m3::TableMeta& meta = m3::table_meta<data_test::RoleDb>();
  CHECK(meta.name == "data_test.RoleDb");
  CHECK(meta.table == "role");
  CHECK(meta.key == 1);
  CHECK(meta.fields.size() == 13);
  REQUIRE(meta.find("role_id"));
  CHECK(meta.find("role_id")->is_key);
  REQUIRE(meta.find(8));
  CHECK(meta.find(8)->name == "luck");
  CHECK_FALSE(meta.find(8)->is_key);
  CHECK_FALSE(meta.find("nothing"));
  CHECK_FALSE(meta.find(99));
  CHECK(meta.prototype == &data_test::RoleDb::default_instance());
}

TEST_CASE("table: m3game's options are read, and a table has the message's name") {
  const m3::TableMeta& actor = m3::table_meta<data_test::ActorDB>();
  CHECK(actor.table == "actor_db");
  CHECK(actor.key == 1);
  const m3::TableMeta& flagged = m3::table_meta<data_test::Flagged>();
  CHECK(flagged.table == "flagged");
  CHECK(flagged.key == 1);
  CHECK(m3::table_meta<data_test::ByNumber>().table == "by_number");
}

TEST_CASE("table: a message that cannot be stored says why") {
  CHECK(refusal<data_test::NoKey>() ==
        "invalid_argument: message data_test.NoKey has no key: write option (m3.table).key = "
        "\"NAME\" with a field of it");
  CHECK(refusal<data_test::WrongKey>() ==
        "invalid_argument: message data_test.WrongKey has the key 'nothing', which is not a field "
        "of it");
  CHECK(refusal<data_test::MessageKey>() ==
        "invalid_argument: message data_test.MessageKey has the key 'base', which is neither a "
        "string nor an integer");
  CHECK(refusal<data_test::BadTable>() ==
        "invalid_argument: message data_test.BadTable has the table 'Role': use 1 to 64 "
        "lower-case letters, digits and '_', a letter first");
}

TEST_CASE("table: keys are texts and integers") {
  data_test::RoleDb role;
  REQUIRE(m3::set_key(m3::table_meta<data_test::RoleDb>(), role, "ann").is_ok());
  CHECK(role.role_id() == "ann");
  CHECK(m3::key_of(m3::table_meta<data_test::RoleDb>(), role) == "ann");
  const m3::TableMeta& meta = m3::table_meta<data_test::ByNumber>();
  data_test::ByNumber numbered;
  REQUIRE(m3::set_key(meta, numbered, "4294967295").is_ok());
  CHECK(numbered.id() == 4294967295u);
  CHECK(m3::key_of(meta, numbered) == "4294967295");
  for (const char* bad : {"4294967296", "-1", "1x", "", " 1", "0x1", "007"}) {
    CHECK(m3::set_key(meta, numbered, bad).text() ==
          "'" + std::string(bad) +
              "' is not a key of data_test.ByNumber: its id is an integer "
              "(uint32)");
  }
}

TEST_CASE("table: a text key is UTF-8") {
  const m3::TableMeta& meta = m3::table_meta<data_test::RoleDb>();
  data_test::RoleDb role;
  for (const char* good :
       {"ann", "\xc3\xa4", "\xe7\x8e\x8b", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(m3::set_key(meta, role, good).is_ok());
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf5\x80\x80\x80", "\xf4\x90\x80\x80", "a\xff", "\xe7\x8e"})
    CHECK(m3::set_key(meta, role, bad).text() == "a key of data_test.RoleDb is not UTF-8");
}
