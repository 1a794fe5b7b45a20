// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/database_suite.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/scope.h"

namespace m3::testing {
namespace {

using Kind = RowRequest::Kind;
using Rows = std::vector<std::uint32_t>;

constexpr auto kTable = "suite";

/// Of the table, which no other case and no other run has.
std::string fresh_key(Ctx& ctx, const std::string& name) {
  return name + "-" + std::to_string(ctx.core().random()());
}

StoredField field(std::uint32_t number, const std::string& text) {
  return text_field(number, text);
}
StoredField gone(std::uint32_t number) { return {number, ""}; }

/// Ends the case when the promise does not hold.
Task<> expect(bool holds, std::string promise) {
  if (holds) co_return ok;
  co_return Status(Errc::failed_precondition, "not so: " + promise);
}
Task<> expect(Errc code, const Status& got, const std::string& promise) {
  return expect(got.code() == code, promise + "; it is " + got.to_string());
}
Task<> expect(RowVerdict verdict, const RowAnswer& got, const std::string& promise) {
  return expect(got.verdict == verdict,
                promise + "; the verdict is " + std::string(row_verdict_name(got.verdict)));
}

/// A row and who writes it: requests of one shape.
class Pen {
 public:
  Pen(Database& database, std::string key, std::string app = "dev.w.suite.1",
      std::uint64_t generation = 1)
      : database_(database), key_(std::move(key)) {
    owner_ = {std::move(app), generation, "127.0.0.1:1"};
  }
  const std::string& key() const { return key_; }
  const RowOwner& owner() const { return owner_; }

  Task<RowAnswer> activate(Ctx& ctx, std::optional<std::uint64_t> over = {},
                           bool must_exist = false) {
    RowRequest request = of(Kind::activate);
    request.over = over;
    request.must_exist = must_exist;
    return database_.step(ctx, std::move(request));
  }
  Task<RowAnswer> save(Ctx& ctx, const RowHead& head, StoredFields fields, bool exists = true,
                       bool whole = false) {
    RowRequest request = of(Kind::save);
    request.epoch = head.epoch;
    request.version = head.version;
    request.fields = std::move(fields);
    request.exists = exists;
    request.whole = whole;
    return database_.step(ctx, std::move(request));
  }
  Task<RowAnswer> check(Ctx& ctx, std::uint64_t epoch) { return owned(ctx, Kind::check, epoch); }
  Task<RowAnswer> release(Ctx& ctx, std::uint64_t epoch) {
    return owned(ctx, Kind::release, epoch);
  }
  Task<Database::Row> read(Ctx& ctx, Rows select = {}) {
    return database_.read(ctx, kTable, key_, std::move(select));
  }

 private:
  RowRequest of(Kind kind) const {
    RowRequest request;
    request.kind = kind;
    request.table = kTable;
    request.key = key_;
    request.owner = owner_;
    return request;
  }
  Task<RowAnswer> owned(Ctx& ctx, Kind kind, std::uint64_t epoch) {
    RowRequest request = of(kind);
    request.epoch = epoch;
    return database_.step(ctx, std::move(request));
  }

  Database& database_;
  std::string key_;
  RowOwner owner_;
};

// ------------------------------------------------------------------------- rows without an owner

Task<> creates_and_reads(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "create"));
  const Status none = (co_await as_result(pen.read(ctx))).status();
  co_await expect(Errc::not_found, none, "a row that was never written is not_found");
  const auto version =
      co_await database.create(ctx, kTable, pen.key(), {field(1, pen.key()), field(3, "three")});
  co_await expect(version == 1, "the first version is 1");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.head.exists && row.head.version == 1 && row.head.owner.empty(),
                  "a row that was created exists, at version 1, without an owner");
  co_await expect(row.fields == StoredFields{field(1, pen.key()), field(3, "three")},
                  "what was created is read");
  const Status again =
      (co_await as_result(database.create(ctx, kTable, pen.key(), {field(1, "x")}))).status();
  co_await expect(Errc::already_exists, again, "a row is created once");
  const Database::Row same = co_await pen.read(ctx);
  co_await expect(same.fields == row.fields, "a refused create changes nothing");
  co_return ok;
}

Task<> reads_some_fields(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "select"));
  co_await database.create(ctx, kTable, pen.key(), {field(1, "a"), field(2, "b"), field(9, "c")});
  Rows select{9, 2, 77};
  const Database::Row row = co_await pen.read(ctx, select);
  co_await expect(row.fields == StoredFields{field(2, "b"), field(9, "c")},
                  "a read has the selected fields, by number, and none that is not there");
  co_return ok;
}

Task<> updates_some_fields(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "update"));
  const Status none =
      (co_await as_result(database.update(ctx, kTable, pen.key(), {field(1, "a")}))).status();
  co_await expect(Errc::not_found, none, "an update of nothing is not_found");
  co_await database.create(ctx, kTable, pen.key(), {field(1, "a"), field(2, "b"), field(4, "d")});
  const auto version = co_await database.update(ctx, kTable, pen.key(),
                                                {field(2, "B"), field(3, "new"), gone(4), gone(5)});
  co_await expect(version == 2, "each write adds one to the version");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.fields == StoredFields{field(1, "a"), field(2, "B"), field(3, "new")},
                  "an update writes its fields, removes those with empty bytes, keeps the others");
  co_return ok;
}

Task<> compares_and_sets(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "cas"));
  co_await database.create(ctx, kTable, pen.key(), {field(1, "a")});
  co_await database.update(ctx, kTable, pen.key(), {field(1, "b")}, 1);
  const Status late =
      (co_await as_result(database.update(ctx, kTable, pen.key(), {field(1, "c")}, 1))).status();
  co_await expect(Errc::aborted, late, "an update that expects an old version is aborted");
  const Status late_erase =
      (co_await as_result(database.erase(ctx, kTable, pen.key(), 1))).status();
  co_await expect(Errc::aborted, late_erase, "an erase that expects an old version is aborted");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.head.version == 2 && row.fields == StoredFields{field(1, "b")},
                  "an aborted write changes nothing");
  co_return ok;
}

Task<> erases(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "erase"));
  const Status none = (co_await as_result(database.erase(ctx, kTable, pen.key()))).status();
  co_await expect(Errc::not_found, none, "an erase of nothing is not_found");
  co_await database.create(ctx, kTable, pen.key(), {field(1, "a"), field(2, "b")});
  co_await database.erase(ctx, kTable, pen.key());
  const Status read = (co_await as_result(pen.read(ctx))).status();
  co_await expect(Errc::not_found, read, "what was erased is not_found");
  const auto version = co_await database.create(ctx, kTable, pen.key(), {field(1, "c")});
  co_await expect(version == 3,
                  "the version goes on after an erase, so that no old one fits again");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.fields == StoredFields{field(1, "c")}, "no field comes back after an erase");
  co_return ok;
}

Task<> keeps_bytes(Ctx& ctx, Database& database) {
  std::string odd("\0\xff\r\n'\"{}\\", 9);
  odd += std::string(100'000, 'x');
  Pen pen(database, fresh_key(ctx, "bytes '\"\\{}\r\n\xc3\xa4"));
  co_await database.create(ctx, kTable, pen.key(), {field(1, odd)});
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.fields == StoredFields{field(1, odd)}, "keys and values are any bytes");
  co_return ok;
}

Task<> refuses_what_cannot_be(Ctx& ctx, Database& database) {
  const std::string longest(kLongestKey, 'k');
  co_await database.create(ctx, kTable, longest, {field(1, "a")});
  co_await database.erase(ctx, kTable, longest);
  std::map<std::string, std::pair<std::string, std::string>> cases{
      {"an empty key", {kTable, ""}},
      {"a key of 256 bytes", {kTable, longest + "k"}},
      {"a table with a space", {"no table", "k"}},
      {"a table without a name", {"", "k"}},
  };
  for (const auto& [what, row] : cases) {
    const Status refused =
        (co_await as_result(database.create(ctx, row.first, row.second, {field(1, "a")}))).status();
    co_await expect(Errc::invalid_argument, refused, what + " is invalid_argument");
  }
  StoredFields foreign{{3, field(2, "of another field").bytes}};
  const Status wrong = (co_await as_result(database.create(ctx, kTable, fresh_key(ctx, "bytes"),
                                                           std::move(foreign))))
                           .status();
  co_await expect(Errc::invalid_argument, wrong, "bytes of another field are refused");
  const Status reserved = (co_await as_result(database.create(
                               ctx, kTable, fresh_key(ctx, "reserved"), {field(19001, "a")})))
                              .status();
  co_await expect(Errc::invalid_argument, reserved, "reserved fields are written by owners only");
  co_return ok;
}

Task<> scans(Ctx& ctx, Database& database) {
  const std::string table = "scan_" + std::to_string(ctx.core().random()());
  for (int i = 0; i < 25; ++i) {
    const std::string key = "k" + std::to_string(100 + i);
    co_await database.create(ctx, table, key, {field(1, key), field(2, "b")});
  }
  co_await database.erase(ctx, table, "k105");
  RowScan scan;
  scan.table = table;
  scan.limit = 10;
  scan.select = {1};
  std::vector<std::string> keys;
  for (int page = 0; page < 5; ++page) {
    const RowPage rows = co_await database.scan(ctx, scan);
    co_await expect(rows.rows.size() <= 10, "a page has at most `limit` rows");
    for (const ScannedRow& row : rows.rows) {
      co_await expect(row.fields == StoredFields{field(1, row.key)}, "a scan has selected fields");
      co_await expect(row.head.exists && row.head.version == 1, "a scan has the heads");
      keys.push_back(row.key);
    }
    scan.after = rows.next;
    if (rows.next.empty()) break;
  }
  co_await expect(keys.size() == 24, "a scan finds each row once and none that was erased: " +
                                         std::to_string(keys.size()) + " of 24");
  co_await expect(std::is_sorted(keys.begin(), keys.end()), "a scan goes by ascending key");
  co_return ok;
}

// --------------------------------------------------------------------------------- rows of owners

Task<> activates_saves_releases(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "own"));
  RowAnswer row = co_await pen.activate(ctx);
  co_await expect(RowVerdict::done, row, "a row that nobody owns is granted");
  co_await expect(row.head.epoch == 1 && !row.head.exists && row.head.owner == pen.owner(),
                  "the first epoch is 1, and there is no entity yet");
  row = co_await pen.save(ctx, row.head, {field(1, "a"), field(2, "b")});
  co_await expect(RowVerdict::done, row, "its owner saves it");
  co_await expect(row.head.version == 1 && row.head.epoch == 1, "a save adds one to the version");
  row = co_await pen.save(ctx, row.head, {field(2, "B")});
  co_await expect(RowVerdict::done, row, "its owner saves it again");
  row = co_await pen.release(ctx, row.head.epoch);
  co_await expect(RowVerdict::done, row, "its owner releases it");
  co_await expect(row.head.owner.empty() && row.head.epoch == 1, "a release keeps the epoch");
  row = co_await pen.activate(ctx);
  co_await expect(row.head.epoch == 2 && row.head.version == 2, "the next owner has a new epoch");
  co_await expect(row.fields == StoredFields{field(1, "a"), field(2, "B")},
                  "an activation reads what was saved");
  co_return ok;
}

Task<> grants_a_lost_answer_again(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "again"));
  (void)co_await pen.activate(ctx);
  const RowAnswer again = co_await pen.activate(ctx);
  co_await expect(RowVerdict::done, again, "the same start is granted again");
  co_await expect(again.head.epoch == 1, "the same start keeps its epoch");
  Pen later(database, pen.key(), "dev.w.suite.1", 2);
  const RowAnswer next = co_await later.activate(ctx);
  co_await expect(RowVerdict::done, next, "a later start of the owner's app is granted");
  co_await expect(next.head.epoch == 2, "a later start has a new epoch");
  const RowAnswer earlier = co_await pen.activate(ctx);
  co_await expect(RowVerdict::held, earlier, "an earlier start is not granted");
  co_return ok;
}

Task<> holds_against_others(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "held"));
  Pen other(database, pen.key(), "dev.w.suite.2", 9);
  RowAnswer mine = co_await pen.activate(ctx);
  mine = co_await pen.save(ctx, mine.head, {field(1, "a")});
  const RowAnswer refused = co_await other.activate(ctx);
  co_await expect(RowVerdict::held, refused, "a row that somebody owns is not granted");
  co_await expect(refused.head.owner == pen.owner() && refused.head.epoch == 1,
                  "the refusal names the owner, its address and the epoch");
  const RowAnswer wrong = co_await other.activate(ctx, 7);
  co_await expect(RowVerdict::held, wrong, "a steal over another epoch is not granted");
  const RowAnswer stolen = co_await other.activate(ctx, refused.head.epoch);
  co_await expect(RowVerdict::done, stolen, "a steal over the seen epoch is granted");
  co_await expect(stolen.head.epoch == 2 && stolen.fields == StoredFields{field(1, "a")},
                  "a steal has a new epoch and reads");
  const RowAnswer fenced = co_await pen.save(ctx, mine.head, {field(1, "late")});
  co_await expect(RowVerdict::fenced, fenced, "the save of a former owner is fenced");
  const RowAnswer checked = co_await pen.check(ctx, 1);
  co_await expect(RowVerdict::fenced, checked, "the check of a former owner is fenced");
  const RowAnswer let_go = co_await pen.release(ctx, 1);
  co_await expect(RowVerdict::fenced, let_go, "the release of a former owner is fenced");
  const RowAnswer good = co_await other.check(ctx, 2);
  co_await expect(RowVerdict::done, good, "the check of the owner is good");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.fields == StoredFields{field(1, "a")} && row.head.owner == other.owner(),
                  "what was fenced has changed nothing");
  co_return ok;
}

Task<> saves_once(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "once"));
  const RowAnswer mine = co_await pen.activate(ctx);
  const RowAnswer first = co_await pen.save(ctx, mine.head, {field(1, "a")});
  co_await expect(RowVerdict::done, first, "a save is done");
  const RowAnswer again = co_await pen.save(ctx, mine.head, {field(1, "a")});
  co_await expect(RowVerdict::version_differs, again, "the same save again is refused");
  co_await expect(again.head.version == 1 && again.head.owner == pen.owner(),
                  "the refusal tells the version: one higher, so it was applied");
  const RowAnswer whole = co_await pen.save(ctx, first.head, {field(2, "b")}, true, /*whole=*/true);
  co_await expect(RowVerdict::done, whole, "a whole save is done");
  const Database::Row row = co_await pen.read(ctx);
  co_await expect(row.fields == StoredFields{field(2, "b")}, "a whole save removes other fields");
  co_return ok;
}

Task<> keeps_reserved_fields_apart(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "reserved"));
  RowAnswer mine = co_await pen.activate(ctx);
  mine = co_await pen.save(ctx, mine.head, {field(1, "a"), field(19001, "done")});
  const Database::Row all = co_await pen.read(ctx);
  co_await expect(all.fields == StoredFields{field(1, "a")}, "a read of all leaves them out");
  Rows select{19001};
  const Database::Row one = co_await pen.read(ctx, select);
  co_await expect(one.fields == StoredFields{field(19001, "done")}, "a read by number has them");
  co_return ok;
}

Task<> refuses_writes_beside_the_owner(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "beside"));
  RowAnswer mine = co_await pen.activate(ctx);
  mine = co_await pen.save(ctx, mine.head, {field(1, "a")});
  for (const bool released : {false, true}) {
    if (released) (void)co_await pen.release(ctx, mine.head.epoch);
    const Status update =
        (co_await as_result(database.update(ctx, kTable, pen.key(), {field(1, "x")}))).status();
    co_await expect(Errc::failed_precondition, update, "a row with owners is not updated beside");
    const Status erase = (co_await as_result(database.erase(ctx, kTable, pen.key()))).status();
    co_await expect(Errc::failed_precondition, erase, "a row with owners is not erased beside");
    const Status create =
        (co_await as_result(database.create(ctx, kTable, pen.key(), {field(1, "x")}))).status();
    co_await expect(Errc::failed_precondition, create, "a row with owners is not created beside");
  }
  co_return ok;
}

Task<> erases_as_owner(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "own-erase"));
  RowAnswer mine = co_await pen.activate(ctx);
  mine = co_await pen.save(ctx, mine.head, {field(1, "a"), field(2, "b")});
  mine = co_await pen.save(ctx, mine.head, {}, /*exists=*/false);
  co_await expect(RowVerdict::done, mine, "an owner erases its entity");
  co_await expect(!mine.head.exists && mine.head.epoch == 1 && mine.head.version == 2,
                  "the epoch and the version stay");
  const Status read = (co_await as_result(pen.read(ctx))).status();
  co_await expect(Errc::not_found, read, "what its owner erased is not_found");
  (void)co_await pen.release(ctx, 1);
  const RowAnswer none = co_await pen.activate(ctx, {}, /*must_exist=*/true);
  co_await expect(RowVerdict::not_found, none, "an activation that needs an entity is refused");
  const RowAnswer fresh = co_await pen.activate(ctx);
  co_await expect(fresh.head.epoch == 2 && fresh.fields.empty(), "and changes nothing");
  co_return ok;
}

Task<> takes_over_a_row_without_owner(Ctx& ctx, Database& database) {
  Pen pen(database, fresh_key(ctx, "adopt"));
  co_await database.create(ctx, kTable, pen.key(), {field(1, "a")});
  const RowAnswer mine = co_await pen.activate(ctx, {}, /*must_exist=*/true);
  co_await expect(RowVerdict::done, mine, "a row that was created without an owner is granted");
  co_await expect(mine.head.version == 1 && mine.fields == StoredFields{field(1, "a")},
                  "with what it has");
  co_return ok;
}

// -------------------------------------------------------------------------------------- together

/// Adds one to a number by compare-and-set, until it fits.
Task<> count(Ctx& ctx, Database& database, std::string key) {
  for (;;) {
    const Database::Row row = co_await database.read(ctx, kTable, key);
    StoredFields more{field(1, "n" + std::to_string(row.head.version))};
    const auto set =
        co_await as_result(database.update(ctx, kTable, key, std::move(more), row.head.version));
    if (set.is_ok()) co_return ok;
    if (set.status() != Errc::aborted) co_return set.status();
  }
}

Task<> loses_no_update(Ctx& ctx, Database& database) {
  constexpr int kWriters = 8, kTimes = 10;
  const std::string key = fresh_key(ctx, "together");
  co_await database.create(ctx, kTable, key, {field(1, "n")});
  Scope scope(ctx.core());
  int failed = 0;
  for (int i = 0; i < kWriters; ++i)
    scope.spawn("writer", [&database, &failed, key](Ctx& own) -> Task<> {
      for (int n = 0; n < kTimes; ++n)
        if (!(co_await as_result(count(own, database, key))).is_ok()) ++failed;
      co_return ok;
    });
  co_await scope.drain(ctx);
  co_await expect(failed == 0, "no write failed");
  const Database::Row row = co_await database.read(ctx, kTable, key);
  co_await expect(row.head.version == 1 + kWriters * kTimes,
                  "80 increments by compare-and-set make 80 versions, not " +
                      std::to_string(row.head.version - 1));
  co_return ok;
}

Task<> grants_one_of_many(Ctx& ctx, Database& database) {
  const std::string key = fresh_key(ctx, "race");
  Scope scope(ctx.core());
  int granted = 0;
  for (int i = 0; i < 20; ++i)
    scope.spawn("owner", [&database, &granted, key, i](Ctx& own) -> Task<> {
      Pen pen(database, key, "dev.w.suite." + std::to_string(i + 1));
      const RowAnswer answer = co_await pen.activate(own);
      if (answer.verdict == RowVerdict::done) ++granted;
      co_return ok;
    });
  co_await scope.drain(ctx);
  co_await expect(granted == 1,
                  "of 20 who ask at once one is granted, not " + std::to_string(granted));
  co_return ok;
}

}  // namespace

StoredField text_field(std::uint32_t number, const std::string& text) {
  std::string bytes;
  for (std::uint32_t tag = number << 3 | 2u;; tag >>= 7) {
    bytes.push_back(static_cast<char>((tag & 0x7fu) | (tag > 0x7fu ? 0x80u : 0u)));
    if (tag <= 0x7fu) break;
  }
  for (auto size = static_cast<std::uint32_t>(text.size());; size >>= 7) {
    bytes.push_back(static_cast<char>((size & 0x7fu) | (size > 0x7fu ? 0x80u : 0u)));
    if (size <= 0x7fu) break;
  }
  return {number, bytes + text};
}

const std::vector<DatabaseCase>& database_cases() {
  static const std::vector<DatabaseCase> cases{
      {"a row is created once and read", creates_and_reads},
      {"a read has the selected fields", reads_some_fields},
      {"an update writes its fields and keeps the others", updates_some_fields},
      {"a write that expects a version is a compare-and-set", compares_and_sets},
      {"an erased row is gone, and its versions go on", erases},
      {"keys and values are any bytes", keeps_bytes},
      {"what cannot be a row is refused", refuses_what_cannot_be},
      {"a scan finds each row once, page by page", scans},
      {"an owner activates, saves and releases", activates_saves_releases},
      {"an activation that was answered before is granted again", grants_a_lost_answer_again},
      {"an owner holds its row against others, until it is stolen", holds_against_others},
      {"a save is applied once", saves_once},
      {"reserved fields are no part of the entity", keeps_reserved_fields_apart},
      {"nobody writes beside the owner", refuses_writes_beside_the_owner},
      {"an owner erases its entity and keeps the row", erases_as_owner},
      {"a row that had no owner gets one", takes_over_a_row_without_owner},
      {"writers at the same time lose no update", loses_no_update},
      {"of many who ask at once one is granted", grants_one_of_many},
  };
  return cases;
}

}  // namespace m3::testing
