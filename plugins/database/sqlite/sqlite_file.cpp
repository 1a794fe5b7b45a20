// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/sqlite/sqlite_file.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdint>
#include <utility>

namespace m3::sqlite_detail {
namespace {

constexpr int kApplication = 0x6d336462;  // "m3db": shown by the `file` command
constexpr int kSchema = 1;

/// sqlite3_step() of a statement without result rows, then reset for its next use.
int run_once(sqlite3_stmt* statement) {
  sqlite3_step(statement);
  return sqlite3_reset(statement);
}

void bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text(statement, index, text.data() ? text.data() : "", static_cast<int>(text.size()),
                    SQLITE_STATIC);
}
void bind_number(sqlite3_stmt* statement, int index, std::uint64_t value) {
  sqlite3_bind_int64(statement, index, static_cast<std::int64_t>(value));
}
void bind_bytes(sqlite3_stmt* statement, int index, std::string_view bytes) {
  // A null pointer would be NULL, not an empty blob.
  sqlite3_bind_blob(statement, index, bytes.data() ? bytes.data() : "",
                    static_cast<int>(bytes.size()), SQLITE_STATIC);
}

std::string bytes_at(sqlite3_stmt* statement, int column) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
  return bytes
             ? std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)))
             : std::string();
}
std::uint64_t number_at(sqlite3_stmt* statement, int column) {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement, column));
}

/// From epoch on, as in every SELECT here.
RowHead head_at(sqlite3_stmt* statement, int first) {
  RowHead head;
  head.epoch = number_at(statement, first);
  head.version = number_at(statement, first + 1);
  head.exists = sqlite3_column_int(statement, first + 2) != 0;
  head.owner.app = bytes_at(statement, first + 3);
  head.owner.generation = number_at(statement, first + 4);
  head.owner.address = bytes_at(statement, first + 5);
  return head;
}

constexpr std::string_view kColumns = "epoch, version, live, owner, generation, address, entity";

Errc code_of(int sqlite) {
  switch (sqlite & 0xff) {
    case SQLITE_FULL:
      return Errc::resource_exhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return Errc::unavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::data_loss;
    default:
      return Errc::internal;
  }
}

std::string_view advice(int sqlite) {
  switch (sqlite & 0xff) {
    case SQLITE_FULL:
      return ": free some space on its disk";
    case SQLITE_BUSY:
      return ": another process has it locked";
    case SQLITE_NOTADB:
      return ": name another file, or move this one away";
    case SQLITE_CANTOPEN:
      return ": its folder must exist, and this user must be allowed to write to it";
    default:
      return "";
  }
}

}  // namespace

/// A row as it was read.
struct SqliteFile::Stored {
  std::int64_t rowid = 0;  // 0: there is none
  RowHead head;
  StoredFields fields;
};

void SqliteFile::Closer::operator()(sqlite3_stmt* statement) const noexcept {
  sqlite3_finalize(statement);
}

SqliteFile::SqliteFile(Options options) : options_(std::move(options)) {}
SqliteFile::~SqliteFile() { close(); }

Status SqliteFile::error(int code, std::string_view what) {
  broken_ = true;
  return Status(code_of(code),
                fmt::format("{}: {}: {}{}", options_.path, what,
                            db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code), advice(code)))
      .not_executed();
}

Status SqliteFile::execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : error(code, sql);
}

Result<SqliteFile::Statement> SqliteFile::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql.c_str(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return error(code, sql);
  return Statement(statement);
}

Result<std::int64_t> SqliteFile::number(const std::string& sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement.is_ok()) return std::move(statement).status();
  const int code = sqlite3_step(statement->get());
  if (code != SQLITE_ROW) return error(code, sql);
  return sqlite3_column_int64(statement->get(), 0);
}

Status SqliteFile::open() {
  const int code =
      sqlite3_open_v2(options_.path.c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    Status failed = error(code, "cannot be opened");
    close();
    // Waiting for a folder that is not there helps nobody.
    if ((code & 0xff) == SQLITE_CANTOPEN) return Status(Errc::not_found, failed.text());
    return failed;
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, static_cast<int>(options_.busy_timeout.count()));
  Status good = check_owner();
  // The log is written into the file by checkpoint(), when the thread has time.
  if (good) good = use_log();
  if (good) good = execute("PRAGMA wal_autocheckpoint = 0");
  if (good)
    good = execute(std::string("PRAGMA synchronous = ") +
                   (options_.synchronous == Synchronous::full ? "FULL" : "NORMAL"));
  for (auto [sql, into] :
       {std::pair("BEGIN", &begin_read_), std::pair("BEGIN IMMEDIATE", &begin_write_),
        std::pair("COMMIT", &commit_), std::pair("ROLLBACK", &rollback_)}) {
    if (!good) break;
    Result<Statement> made = prepare(sql);
    good = made.is_ok() ? Status() : made.status();
    if (good) *into = *std::move(made);
  }
  if (good)
    sqlite3_wal_hook(
        db_,
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<SqliteFile*>(self)->log_pages_ = pages;
          return SQLITE_OK;
        },
        this);
  if (!good) close();
  return good;
}

/// Where WAL cannot be had (a network file system), SQLite goes on without it and reports no error.
Status SqliteFile::use_log() {
  Result<Statement> pragma = prepare("PRAGMA journal_mode = WAL");
  if (!pragma.is_ok()) return std::move(pragma).status();
  const int code = sqlite3_step(pragma->get());
  if (code != SQLITE_ROW) return error(code, "PRAGMA journal_mode = WAL");
  const std::string mode = bytes_at(pragma->get(), 0);
  if (mode == "wal") return ok;
  return Status(Errc::failed_precondition,
                options_.path + ": SQLite cannot use a write-ahead log there (it uses '" + mode +
                    "'): put the file on a local disk");
}

/// In one transaction: two programs may be starting with a new file.
Status SqliteFile::check_owner() {
  if (Status begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
  const Status good = claim();
  const Status ended = execute(good ? "COMMIT" : "ROLLBACK");
  return good ? ended : good;
}

/// A new file becomes m3's; one with other tables in it is not changed.
Status SqliteFile::claim() {
  const Result<std::int64_t> application = number("PRAGMA application_id");
  if (!application.is_ok()) return application.status();
  const Result<std::int64_t> schema = number("PRAGMA user_version");
  if (!schema.is_ok()) return schema.status();
  const Result<std::int64_t> tables = number("SELECT count(*) FROM sqlite_master");
  if (!tables.is_ok()) return tables.status();
  if (*application == 0 && *tables == 0)
    return execute(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplication, kSchema));
  if (*application != kApplication)
    return Status(Errc::failed_precondition,
                  options_.path + " is the database of another program: name another file");
  if (*schema > kSchema)
    return Status(Errc::failed_precondition,
                  fmt::format("{} was written by a newer m3 (schema {}, this one knows {})",
                              options_.path, *schema, kSchema));
  return ok;
}

void SqliteFile::close() {
  tables_.clear();
  begin_read_.reset();
  begin_write_.reset();
  commit_.reset();
  rollback_.reset();
  if (db_) sqlite3_close_v2(std::exchange(db_, nullptr));
}

Status SqliteFile::begin(bool writes) {
  broken_ = false;
  const int code = run_once((writes ? begin_write_ : begin_read_).get());
  return code == SQLITE_OK ? Status() : error(code, "cannot be written");
}

Status SqliteFile::commit() {
  const int code = run_once(commit_.get());
  if (code == SQLITE_OK) return ok;
  Status failed = error(code, "cannot be written");
  rollback();
  // What is in the log, but not known to be on the disk, may be found there after a crash.
  if ((code & 0xff) == SQLITE_IOERR) return Status(failed.code(), failed.text());
  return failed;
}

void SqliteFile::rollback() {
  if (!sqlite3_get_autocommit(db_)) run_once(rollback_.get());
  tables_.clear();  // one may have been made in this transaction
}

Result<SqliteFile::Table*> SqliteFile::table(const std::string& name, bool create) {
  if (const auto at = tables_.find(name); at != tables_.end()) return &at->second;
  if (!create) {
    // `name` is a table's name, which needs no quoting inside a text.
    const Result<std::int64_t> count = number(fmt::format(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{}'", name));
    if (!count.is_ok()) return count.status();
    if (*count == 0) return nullptr;
  }
  const Status made = execute(fmt::format(
      "CREATE TABLE IF NOT EXISTS \"{}\" (key TEXT PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL, "
      "version INTEGER NOT NULL, live INTEGER NOT NULL, owner TEXT NOT NULL, "
      "generation INTEGER NOT NULL, address TEXT NOT NULL, entity BLOB NOT NULL)",
      name));
  if (!made) return made;
  Table fresh;
  for (const auto& [into, sql] :
       {std::pair(&fresh.select,
                  fmt::format("SELECT rowid, {} FROM \"{}\" WHERE key = ?1", kColumns, name)),
        std::pair(&fresh.insert, fmt::format("INSERT INTO \"{}\" (key, {}) VALUES (?1, ?2, ?3, ?4, "
                                             "?5, ?6, ?7, ?8)",
                                             name, kColumns)),
        std::pair(&fresh.update,
                  fmt::format("UPDATE \"{}\" SET epoch = ?2, version = ?3, live = ?4, owner = ?5, "
                              "generation = ?6, address = ?7, entity = ?8 WHERE rowid = ?1",
                              name)),
        std::pair(&fresh.scan, fmt::format("SELECT key, {} FROM \"{}\" WHERE key > ?1 "
                                           "ORDER BY key LIMIT ?2",
                                           kColumns, name))}) {
    Result<Statement> statement = prepare(sql);
    if (!statement.is_ok()) return std::move(statement).status();
    *into = *std::move(statement);
  }
  return &tables_.emplace(name, std::move(fresh)).first->second;
}

Status SqliteFile::load(Table& table, const std::string& key, Stored& stored) {
  sqlite3_stmt* select = table.select.get();
  bind_text(select, 1, key);
  const int code = sqlite3_step(select);
  Status read;
  if (code == SQLITE_ROW) {
    stored.rowid = sqlite3_column_int64(select, 0);
    stored.head = head_at(select, 1);
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(select, 7));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(select, 7));
    read = split(bytes ? std::string_view(bytes, size) : std::string_view(), stored.fields);
  } else if (code != SQLITE_DONE) {
    read = error(code, "cannot be read");
  }
  sqlite3_reset(select);
  return read;
}

Status SqliteFile::store(Table& table, const RowRequest& request, const RowHead& head,
                         const Stored& stored) {
  const std::string entity = join(stored.fields);
  const bool is_new = stored.rowid == 0;
  sqlite3_stmt* write = (is_new ? table.insert : table.update).get();
  if (is_new)
    bind_text(write, 1, request.key);
  else
    sqlite3_bind_int64(write, 1, stored.rowid);
  bind_number(write, 2, head.epoch);
  bind_number(write, 3, head.version);
  bind_number(write, 4, std::uint64_t{head.exists});
  bind_text(write, 5, head.owner.app);
  bind_number(write, 6, head.owner.generation);
  bind_text(write, 7, head.owner.address);
  bind_bytes(write, 8, entity);
  const int code = run_once(write);
  return code == SQLITE_OK ? Status() : error(code, "cannot be written");
}

Result<RowAnswer> SqliteFile::run(const RowRequest& request) {
  const Result<Table*> found = table(request.table, request.writes());
  if (!found.is_ok()) return found.status();
  Stored stored;
  if (Status read = *found ? load(**found, request.key, stored) : Status(); !read)
    return std::move(read).add_context(request.table + " '" + request.key + "'").not_executed();
  RowAnswer answer;
  answer.head = stored.head;
  answer.verdict = judge(request, answer.head);
  if (answer.verdict != RowVerdict::done) return answer;
  if (request.writes()) {
    if (Status fits = apply(request, stored.fields); !fits) return fits;
    if (Status written = store(**found, request, answer.head, stored); !written) return written;
  }
  if (request.reads_fields()) answer.fields = selected(stored.fields, request.select);
  return answer;
}

Result<RowPage> SqliteFile::scan(const RowScan& scan) {
  const Result<Table*> found = table(scan.table, false);
  if (!found.is_ok()) return found.status();
  if (!*found) return RowPage();
  sqlite3_stmt* statement = (*found)->scan.get();
  bind_text(statement, 1, scan.after);
  // One more row shows whether there is another page.
  sqlite3_bind_int64(statement, 2, static_cast<std::int64_t>(scan.limit) + 1);
  RowPage page;
  std::string last;
  std::size_t seen = 0, bytes = 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    // The thread is busy for so many rows, whether they have an entity or not.
    if (seen++ == scan.limit || bytes >= RowScan::kLargestPageBytes) {
      page.next = last;
      break;
    }
    last = bytes_at(statement, 0);
    ScannedRow row{last, head_at(statement, 1), {}, false};
    if (!row.head.exists) continue;
    const std::string entity = bytes_at(statement, 7);
    bytes += entity.size();
    StoredFields fields;
    row.is_damaged = !split(entity, fields);
    if (!row.is_damaged) row.fields = selected(fields, scan.select);
    page.rows.push_back(std::move(row));
  }
  Status read;
  if (code != SQLITE_ROW && code != SQLITE_DONE) read = error(code, "cannot be read");
  sqlite3_reset(statement);
  if (!read) return read;
  return page;
}

Status SqliteFile::checkpoint() {
  const int code =
      sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  log_pages_ = 0;
  // Busy: a reader blocks it, and the next attempt will do.
  return code == SQLITE_OK || code == SQLITE_BUSY ? Status() : error(code, "checkpoint");
}

}  // namespace m3::sqlite_detail
