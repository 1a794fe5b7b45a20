// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/status.h"
#include "m3/base/table_meta.h"

// The stored form of an entity, and the rules by which a row changes. The rules are plain
// functions, so that back ends in this process (memory, SQLite) share them, and others (Redis runs
// a script) are compared with them by one suite (m3/testing/database_suite.h).

namespace m3 {

/// One stored top-level field of an entity: the bytes that protobuf writes for an entity with only
/// this field, including its tag. Empty: the field is not set.
struct StoredField {
  std::uint32_t number = 0;
  std::string bytes;
  friend bool operator==(const StoredField&, const StoredField&) = default;
};

/// By ascending number, each number once.
using StoredFields = std::vector<StoredField>;

/// The owner of a row: one start of one app, and its address.
struct RowOwner {
  std::string app;               ///< app id; empty: no owner
  std::uint64_t generation = 0;  ///< of that app: a later start has a higher one
  std::string address;           ///< "host:port"

  bool empty() const noexcept { return app.empty(); }
  /// Whether it is the same start; the address may have changed.
  bool is(const RowOwner& other) const noexcept {
    return app == other.app && generation == other.generation;
  }
  std::string to_string() const;  ///< "dev.w.role.1#17@10.0.0.1:20051"; "nobody"
  friend bool operator==(const RowOwner&, const RowOwner&) = default;
};

/// The state of a row. A row that was never written is RowHead{}.
struct RowHead {
  std::uint64_t epoch = 0;    ///< the number of its present ownership; never decreases
  std::uint64_t version = 0;  ///< counts its writes; never decreases
  bool exists = false;        ///< false: it has no entity, or one that was erased
  RowOwner owner;
  friend bool operator==(const RowHead&, const RowHead&) = default;
};

/// One step of a row: atomic, and durable before it is answered.
struct RowRequest {
  enum class Kind : std::uint8_t {
    read,      ///< the fields in `select`
    create,    ///< an entity of `fields`
    update,    ///< writes `fields`, if `version` is unset or the row's
    erase,     ///< likewise; the epoch and the version stay
    activate,  ///< makes `owner` the owner, under a new epoch, and reads
    save,      ///< the owner writes `fields`, if `epoch` and `version` are the row's
    check,     ///< whether `owner` still owns it under `epoch`; writes nothing
    release,   ///< the owner gives it up
  };

  Kind kind = Kind::read;
  std::string table;
  std::string key;
  std::vector<std::uint32_t> select;     ///< read, activate: field numbers; empty: all
  StoredFields fields;                   ///< create, update, save: those that change
  std::optional<std::uint64_t> version;  ///< the row's before this step; save needs it
  bool whole = false;       ///< update, save: fields that are not in `fields` are removed
  bool exists = true;       ///< save: whether there is an entity afterwards
  bool must_exist = false;  ///< activate: a row without an entity is not_found, and stays as it is
  RowOwner owner;           ///< activate, save, check, release: the caller
  std::uint64_t epoch = 0;  ///< save, check, release
  /// activate: takes the row from its owner if its epoch is still this one.
  std::optional<std::uint64_t> over;

  bool writes() const noexcept { return kind != Kind::read && kind != Kind::check; }
  bool reads_fields() const noexcept { return kind == Kind::read || kind == Kind::activate; }
};

/// The outcome of a step. Nothing has changed unless it is `done`.
enum class RowVerdict : std::uint8_t {
  done,
  not_found,        ///< there is no entity
  already_exists,   ///< create: there is one
  version_differs,  ///< the row's version is not the one that the step expects
  owned,            ///< create, update, erase: the row has or had an owner; only owners write it
  held,             ///< activate: another start owns it
  fenced,           ///< save, check, release: the row is no longer this owner's under this epoch
};
std::string_view row_verdict_name(RowVerdict verdict) noexcept;

struct RowAnswer {
  RowVerdict verdict = RowVerdict::done;
  RowHead head;         ///< after the step
  StoredFields fields;  ///< read and activate, when done
};

/// Keys are 1 to 255 bytes without NUL.
inline constexpr std::size_t kLongestKey = 255;
/// The largest size of a row.
inline constexpr std::size_t kLargestRow = 16u << 20;
/// Field numbers that protobuf reserves: m3 uses them to store data of a row that is not part of
/// its entity. Only the owner's saves may write them.
inline constexpr std::uint32_t kFirstReserved = 19000;
inline constexpr std::uint32_t kLastReserved = 19999;

/// invalid_argument when the request is not valid for any row: checked by the caller, before a back
/// end sees it.
Status check_request(const RowRequest& request);

/// Decides a request on a row whose head is `head`. done: `head` is the new head; else it is
/// unchanged.
RowVerdict judge(const RowRequest& request, RowHead& head);

/// Makes `fields` what they are after a request that judge() has accepted. invalid_argument: the
/// row would grow beyond kLargestRow; `fields` are as they were.
Status apply(const RowRequest& request, StoredFields& fields);

/// The fields in `select`; all except the reserved ones when it is empty.
StoredFields selected(const StoredFields& fields, const std::vector<std::uint32_t>& select);

/// All bytes in a row: the message that has these fields.
std::string join(const StoredFields& fields);
/// The reverse, for any message: groups the fields by number. data_loss: the bytes are not a
/// message.
Status split(std::string_view message, StoredFields& fields);

}  // namespace m3
