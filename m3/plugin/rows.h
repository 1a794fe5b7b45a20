// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/status.h"

// What a database stores of an entity, and the rules by which a row changes. The rules are plain
// functions, so that the back ends which run them in this process (memory, SQLite) share them, and
// those which cannot (Redis runs a script) are compared with them by one suite
// (m3/testing/database_suite.h).

namespace m3 {

/// One top-level field of an entity as it is stored: the bytes that protobuf writes of an entity
/// that has only this field, with its tag. Empty: the field is not set.
struct StoredField {
  std::uint32_t number = 0;
  std::string bytes;
  friend bool operator==(const StoredField&, const StoredField&) = default;
};

/// By ascending number, each number once.
using StoredFields = std::vector<StoredField>;

/// Who may change a row: one start of one app, and where it can be asked.
struct RowOwner {
  std::string app;               ///< app id; empty: nobody
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

/// What a row says of itself. A row that was never written is RowHead{}.
struct RowHead {
  std::uint64_t epoch = 0;    ///< the number of the right to own it; never goes back
  std::uint64_t version = 0;  ///< counts its writes; never goes back
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
  RowOwner owner;           ///< activate, save, check, release: who asks
  std::uint64_t epoch = 0;  ///< save, check, release
  /// activate: takes the row from its owner if this is its epoch still.
  std::optional<std::uint64_t> over;

  bool writes() const noexcept { return kind != Kind::read && kind != Kind::check; }
  bool reads_fields() const noexcept { return kind == Kind::read || kind == Kind::activate; }
};

/// What became of a step. All but `done` have changed nothing.
enum class RowVerdict : std::uint8_t {
  done,
  not_found,        ///< there is no entity
  already_exists,   ///< create: there is one
  version_differs,  ///< the row's version is not the one that the step expects
  owned,            ///< create, update, erase: the row has or had an owner; only owners write it
  held,             ///< activate: somebody else owns it
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
/// What a row may hold in all.
inline constexpr std::size_t kLargestRow = 16u << 20;
/// Field numbers that protobuf keeps from users: m3 stores what belongs to a row, but not to its
/// entity, under them. Only the owner's saves may write them.
inline constexpr std::uint32_t kFirstReserved = 19000;
inline constexpr std::uint32_t kLastReserved = 19999;

/// A table's name is 1 to 64 lower-case letters, digits and '_', the first one a letter (or '_',
/// for m3's own tables). It does not begin with "sqlite_".
bool is_table_name(std::string_view name) noexcept;

/// invalid_argument when the request cannot be right for any row: for the caller, before a back end
/// sees it.
Status check_request(const RowRequest& request);

/// Decides a request on a row whose head is `head`. done: `head` is what it becomes; else it is as
/// it was.
RowVerdict judge(const RowRequest& request, RowHead& head);

/// `fields` after a request that judge() has let through.
void apply(const RowRequest& request, StoredFields& fields);

/// Those of `select`; all of them but the reserved ones when it is empty.
StoredFields selected(const StoredFields& fields, const std::vector<std::uint32_t>& select);

/// All bytes in a row: the message that has these fields.
std::string join(const StoredFields& fields);
/// The way back, for any message: takes what belongs to one number together. data_loss: the bytes
/// are not a message.
Status split(std::string_view message, StoredFields& fields);

}  // namespace m3
