// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m3/plugin/plugin.h"
#include "m3/plugin/rows.h"

namespace m3 {

/// Rows of a table, by ascending key.
struct RowScan {
  static constexpr std::size_t kLargestPage = 10'000;
  static constexpr std::size_t kLargestPageBytes = 8u << 20;  ///< a page of large rows ends there

  std::string table;
  std::string after;                  ///< keys above this one; empty: from the first
  std::size_t limit = 100;            ///< the most rows of a page; 1 to kLargestPage
  std::vector<std::uint32_t> select;  ///< field numbers; empty: all
};
struct ScannedRow {
  std::string key;
  RowHead head;
  StoredFields fields;
  bool is_damaged = false;  ///< what is stored cannot be read; `fields` is empty
};
struct RowPage {
  std::vector<ScannedRow> rows;  ///< those with an entity
  /// `after` for the next page; empty: this was the last one. A page may have less than `limit`
  /// rows, or none, and yet a next one: rows without an entity are passed over.
  std::string next;
};

/// Stores entities: a row per entity, with an owner's epoch and one field per top-level field of
/// its message (m3/plugin/rows.h). Chosen by `[database.NAME]`; with several, callers name theirs.
/// Started in stage store.
///
/// A back end implements run() and scan_rows(); callers use the functions above them, from any
/// core. Answered writes are as durable as the back end promises. Errors of both:
///   - unavailable: the store does not answer, or could not write; nothing has happened, unless the
///     Status says maybe_executed
///   - deadline_exceeded, cancelled: with maybe_executed when it may still happen
///   - resource_exhausted: the disk is full, or too much waits
///   - data_loss: what is stored cannot be read
class Database : public Plugin {
 public:
  static constexpr std::string_view kKind = "database";
  static constexpr bool kMany = true;

  // ---- for back ends

  /// Whether other processes see the same rows.
  virtual bool reaches_other_processes() const = 0;
  /// `request` was checked (check_request). One step, atomic with all others of its row; steps that
  /// one core begins one after the other are answered in that order for each row.
  virtual Task<RowAnswer> run(Ctx& ctx, RowRequest request) = 0;
  /// Rows that change meanwhile may or may not be included.
  virtual Task<RowPage> scan_rows(Ctx& ctx, RowScan scan) = 0;

  // ---- rows without an owner: for stateless services. failed_precondition: the row has, or had,
  // an owner, and is written through the actor that owns it.

  struct Row {
    RowHead head;
    StoredFields fields;
  };
  /// The fields in `select`; all of them when it is empty. not_found.
  Task<Row> read(Ctx& ctx, std::string table, std::string key,
                 std::vector<std::uint32_t> select = {});
  /// The new row's version. already_exists.
  Task<std::uint64_t> create(Ctx& ctx, std::string table, std::string key, StoredFields fields);
  /// Writes `fields`, those with empty bytes are removed, all others stay. The row's new version.
  /// not_found; aborted: the row's version is not `version`.
  Task<std::uint64_t> update(Ctx& ctx, std::string table, std::string key, StoredFields fields,
                             std::optional<std::uint64_t> version = {});
  /// not_found; aborted, as for update().
  Task<> erase(Ctx& ctx, std::string table, std::string key,
               std::optional<std::uint64_t> version = {});

  // ---- any row

  /// One step, for actors and tools, which know the rules. Its verdict is not an error.
  /// invalid_argument: check_request() refuses it.
  Task<RowAnswer> step(Ctx& ctx, RowRequest request);
  /// A page of a table. invalid_argument: not a table's name, or a limit out of range.
  Task<RowPage> scan(Ctx& ctx, RowScan scan);

 private:
  Task<RowAnswer> must(Ctx& ctx, RowRequest request);
};

/// OK for `done`; else the error for a caller of read, create, update and erase.
Status to_status(const RowRequest& request, const RowAnswer& answer);

}  // namespace m3
