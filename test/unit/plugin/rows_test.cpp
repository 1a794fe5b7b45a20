// SPDX-License-Identifier: BSL-1.0
// What the databases' suite (m3/testing/database_suite.h) does not reach: bytes, and every request
// on every row.
#include "m3/plugin/rows.h"

#include <algorithm>
#include <random>
#include <string>

#include "m3/testing/catch.h"

namespace {

using m3::Errc;
using m3::RowHead;
using m3::RowOwner;
using m3::RowRequest;
using m3::RowVerdict;
using m3::StoredFields;
using Kind = RowRequest::Kind;

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

constexpr Kind kKinds[] = {Kind::read,     Kind::create, Kind::update, Kind::erase,
                           Kind::activate, Kind::save,   Kind::check,  Kind::release};

}  // namespace

TEST_CASE("rows: a message is split into its fields and joined again") {
  // 1: "ab", 2: 150, 4: fixed64, 5: fixed32, and 1 again, behind them
  const std::string one = bytes({0x0a, 2, 'a', 'b'}), two = bytes({0x10, 0x96, 1}),
                    four = bytes({0x21, 1, 2, 3, 4, 5, 6, 7, 8}), five = bytes({0x2d, 1, 2, 3, 4}),
                    again = bytes({0x0a, 1, 'c'});
  StoredFields fields;
  REQUIRE(m3::split(one + two + four + five + again, fields).is_ok());
  CHECK(fields == StoredFields{{1, one + again}, {2, two}, {4, four}, {5, five}});
  CHECK(m3::join(fields) == one + again + two + four + five);
  REQUIRE(m3::split("", fields).is_ok());
  CHECK(fields.empty());
}

TEST_CASE("rows: a group, which old messages have, is one field") {
  // 1: { 2: 5, 3: { 1: "x" } }, and 4: 1
  const std::string group = bytes({0x0b, 0x10, 5, 0x1b, 0x0a, 1, 'x', 0x1c, 0x0c}),
                    four = bytes({0x20, 1});
  StoredFields fields;
  REQUIRE(m3::split(group + four, fields).is_ok());
  CHECK(fields == StoredFields{{1, group}, {4, four}});
  CHECK(m3::split(bytes({0x0b, 0x14}), fields) == Errc::data_loss);  // ends another one
  CHECK(m3::split(bytes({0x0b, 0x10, 5}), fields) == Errc::data_loss);
}

TEST_CASE("rows: bytes that are not a message are data_loss") {
  StoredFields fields;
  for (const std::string& bad :
       {bytes({0x0a}), bytes({0x0a, 5, 'x'}), bytes({0x00, 1}), bytes({0x0b}), bytes({0x0c}),
        bytes({0x21, 1}), bytes({0x2d, 1}), bytes({0x0f}), bytes({0x80}),
        bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}),
        bytes({0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})}) {
    CHECK(m3::split(bad, fields) == Errc::data_loss);
    CHECK(m3::split(bytes({0x0a, 1, 'a'}) + bad, fields).text() ==
          "the stored bytes are not a message: a bad field at byte 3");
  }
}

TEST_CASE(
    "rows: no request takes an epoch or a version back, and only an activation makes owners") {
  std::mt19937_64 random(GENERATE(range(0, 200)));
  const auto any = [&](std::uint64_t most) { return random() % (most + 1); };
  const RowOwner owners[] = {{"a", 1, "x"}, {"a", 2, "x"}, {"b", 1, "y"}};
  RowHead head;
  for (int i = 0; i < 300; ++i) {
    RowRequest request;
    request.kind = kKinds[any(7)];
    request.owner = owners[any(2)];
    request.epoch = any(1) ? head.epoch : any(3);
    if (request.kind == Kind::save || any(3) == 0) request.version = any(1) ? head.version : any(3);
    if (any(3) == 0) request.over = any(1) ? head.epoch : any(3);
    request.exists = any(3) != 0;
    request.must_exist = any(1) != 0;
    RowHead after = head;
    const RowVerdict verdict = m3::judge(request, after);
    INFO("request " << i << " of kind " << static_cast<int>(request.kind));
    if (verdict != RowVerdict::done || !request.writes()) CHECK(after == head);
    CHECK(after.epoch >= head.epoch);
    CHECK(after.epoch <= head.epoch + 1);
    CHECK(after.version >= head.version);
    // A write of the entity is a new version, and nothing else is.
    const bool writes_entity = verdict == RowVerdict::done &&
                               (request.kind == Kind::create || request.kind == Kind::update ||
                                request.kind == Kind::erase || request.kind == Kind::save);
    CHECK(after.version == head.version + (writes_entity ? 1 : 0));
    if (!writes_entity) CHECK(after.exists == head.exists);
    // Another owner comes by an activation, under a new epoch.
    if (!after.owner.empty() && !after.owner.is(head.owner)) {
      CHECK(request.kind == Kind::activate);
      CHECK(after.epoch == head.epoch + 1);
    }
    // Who is not the owner under its epoch writes nothing that was ever owned.
    if (writes_entity && head.epoch > 0) {
      CHECK(request.kind == Kind::save);
      CHECK(head.owner.is(request.owner));
      CHECK(request.epoch == head.epoch);
      CHECK(*request.version == head.version);
    }
    head = after;
  }
  CHECK(head.epoch > 3);
}

TEST_CASE("rows: an activation names its owner's present address") {
  RowHead head;
  RowRequest request;
  request.kind = Kind::activate;
  request.owner = {"a", 1, "old:1"};
  REQUIRE(m3::judge(request, head) == RowVerdict::done);
  request.owner.address = "new:1";
  REQUIRE(m3::judge(request, head) == RowVerdict::done);
  CHECK(head.owner.address == "new:1");
  CHECK(head.epoch == 1);
  CHECK(head.owner.to_string() == "a#1@new:1");
  CHECK(RowOwner().to_string() == "nobody");
}

TEST_CASE("rows: fields come by number, and a save keeps what it does not name") {
  StoredFields row{{1, "a"}, {3, "c"}};
  RowRequest request;
  request.kind = Kind::save;
  request.fields = {{1, ""}, {2, "b"}, {3, "C"}, {4, "d"}};
  REQUIRE(m3::apply(request, row).is_ok());
  CHECK(row == StoredFields{{2, "b"}, {3, "C"}, {4, "d"}});
  request.kind = Kind::activate;
  REQUIRE(m3::apply(request, row).is_ok());
  CHECK(row.size() == 3);
  request.kind = Kind::save;
  request.exists = false;
  REQUIRE(m3::apply(request, row).is_ok());
  CHECK(row.empty());
}

TEST_CASE("rows: an erase keeps what is the row's own, and takes the owner's last word of it") {
  StoredFields row{{1, "a"}, {19001, "done"}, {19002, "outbox"}};
  RowRequest request;
  request.kind = Kind::save;
  request.exists = false;
  request.fields = {{1, "ignored"}, {19001, "more"}};
  REQUIRE(m3::apply(request, row).is_ok());
  CHECK(row == StoredFields{{19001, "more"}, {19002, "outbox"}});
}

TEST_CASE("rows: a row does not grow beyond its bound") {
  StoredFields row{{1, std::string(m3::kLargestRow - 10, 'x')}};
  RowRequest request;
  request.kind = Kind::update;
  request.table = "t";
  request.key = "k";
  request.fields = {{2, std::string(10, 'x')}};
  CHECK(m3::apply(request, row).is_ok());
  request.fields = {{3, "x"}};
  CHECK(m3::apply(request, row).text() == "t 'k' would grow to 16777217 bytes: at most 16777216");
  request.fields = {{1, ""}, {3, "x"}};
  CHECK(m3::apply(request, row).is_ok());
}

TEST_CASE("rows: requests that fit no row are refused before a database sees them") {
  RowRequest request;
  request.table = "t";
  request.key = "k";
  REQUIRE(m3::check_request(request).is_ok());
  SECTION("the table") {
    for (const char* name : {"", "T", "1a", "a b", "a-b", "sqlite_x"}) {
      request.table = name;
      CHECK(m3::check_request(request) == Errc::invalid_argument);
    }
    request.table = "_m3";
    CHECK(m3::check_request(request).is_ok());
  }
  SECTION("the key") {
    for (const std::string& key : {std::string(), std::string(256, 'k'), std::string("a\0b", 3)}) {
      request.key = key;
      CHECK(m3::check_request(request) == Errc::invalid_argument);
    }
  }
  SECTION("the fields") {
    request.kind = Kind::create;
    for (const StoredFields& fields :
         {StoredFields{{2, "a"}, {1, "b"}}, StoredFields{{1, "a"}, {1, "b"}},
          StoredFields{{0, "a"}}, StoredFields{{19001, "a"}}, StoredFields{{1, "plain"}},
          StoredFields{{2, bytes({0x0a, 1, 'a'})}},
          StoredFields{{1, bytes({0x0a, 1, 'a', 0x10, 1})}}}) {
      request.fields = fields;
      CHECK(m3::check_request(request) == Errc::invalid_argument);
    }
  }
  SECTION("bytes of the field itself, once or several times, are good") {
    request.kind = Kind::create;
    request.fields = {{1, bytes({0x0a, 1, 'a', 0x0a, 1, 'b'})}, {2, bytes({0x10, 1})}, {3, ""}};
    CHECK(m3::check_request(request).is_ok());
  }
  SECTION("who owns it, and which version it has") {
    request.kind = Kind::save;
    CHECK(m3::check_request(request).text() == "the request has no owner");
    request.owner = {"a", 1, "x"};
    CHECK(m3::check_request(request).text() == "a save needs the row's version");
    request.version = 0;
    CHECK(m3::check_request(request).is_ok());
  }
}
