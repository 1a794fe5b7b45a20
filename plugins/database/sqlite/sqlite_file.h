// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "m3/base/status.h"
#include "m3/plugin/database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace m3::sqlite_detail {

/// How durable an answered write is; see https://sqlite.org/pragma.html#pragma_synchronous
enum class Synchronous { normal, full };

/// An SQLite file with a table of rows for each m3 table: with the same name, and the entity in one
/// column, as a message that `protoc --decode` reads. In WAL mode, so that others may read it, and
/// other processes write it. For one thread at a time. Blocks.
///
///   key TEXT · epoch · version · live · owner TEXT · generation · address TEXT · entity BLOB
class SqliteFile {
 public:
  struct Options {
    std::string path;
    Synchronous synchronous = Synchronous::full;
    std::chrono::milliseconds busy_timeout{5000};
  };
  explicit SqliteFile(Options options);
  SqliteFile(const SqliteFile&) = delete;
  SqliteFile& operator=(const SqliteFile&) = delete;
  ~SqliteFile();  ///< close()

  /// Creates the file if it is missing. data_loss: it is not a database; failed_precondition: it is
  /// another program's, or a newer m3's; unavailable: locked by another process; not_found: there
  /// is no such folder, or it may not be written.
  Status open();
  void close();

  /// run() and scan() are called between them. resource_exhausted: the disk is full; unavailable:
  /// it cannot be written, or another process has it for longer than busy_timeout. After an error
  /// of commit() nothing of the transaction has happened, or, if the Status says maybe_executed, it
  /// may be there after a crash.
  Status begin(bool writes);
  Status commit();
  void rollback();
  /// SQLite has reported an error since begin(): the transaction must be rolled back.
  bool is_broken() const noexcept { return broken_; }

  /// One step in the transaction. Unless is_broken(), an error is this row's own (it cannot be
  /// read, or would grow too large), and the row is as it was.
  Result<RowAnswer> run(const RowRequest& request);
  Result<RowPage> scan(const RowScan& scan);

  /// Pages in the log that are not in the file yet.
  int log_pages() const noexcept { return log_pages_; }
  /// Writes the log into the file, as far as readers allow it.
  Status checkpoint();

 private:
  struct Closer {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Closer>;
  struct Table {
    Statement select, insert, update, scan;
  };
  struct Stored;

  Status error(int code, std::string_view what);
  Status execute(const std::string& sql);
  Result<std::int64_t> number(const std::string& sql);
  Result<Statement> prepare(const std::string& sql);
  /// Creates it if it is missing; or, with `create` false, returns null.
  Result<Table*> table(const std::string& name, bool create);
  Status use_log();
  Status check_owner();
  Status claim();
  Status load(Table& table, const std::string& key, Stored& stored);
  Status store(Table& table, const RowRequest& request, const RowHead& head, const Stored& stored);

  const Options options_;
  sqlite3* db_ = nullptr;
  Statement begin_read_, begin_write_, commit_, rollback_;
  std::map<std::string, Table, std::less<>> tables_;
  int log_pages_ = 0;
  bool broken_ = false;
};

}  // namespace m3::sqlite_detail
