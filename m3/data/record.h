// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/table_meta.h"
#include "m3/data/table.h"
#include "m3/plugin/database.h"

namespace m3 {

/// An entity in memory and which of its fields the database does not have yet. Without a type, for
/// tools; code of a game uses Record<T>. Core-local: one coroutine after the other uses it. The
/// database outlives its calls.
///
/// A write takes the dirty fields as they are then: what is changed while it runs stays dirty, and
/// after an error everything does.
class RecordBase {
 public:
  /// invalid_argument from read(), create(), update() and erase(): `key` is not one of this table.
  RecordBase(const TableMeta& meta, std::string key);
  RecordBase(RecordBase&&) = default;
  RecordBase& operator=(RecordBase&&) = default;

  const TableMeta& meta() const noexcept { return *meta_; }
  const std::string& key() const noexcept { return key_; }
  const google::protobuf::Message& entity() const noexcept { return *entity_; }
  /// The row's version for which all that was read here holds; 0: nothing was read. A write of
  /// others, or a later read of some fields, does not change it.
  std::uint64_t version() const noexcept { return version_; }

  bool has_dirty() const noexcept { return !dirty_.empty(); }
  /// Numbers of the fields that the database does not have yet, ascending.
  const std::vector<std::uint32_t>& dirty_fields() const noexcept { return dirty_; }
  void mark_dirty(std::uint32_t number);

  /// The entity, or only the fields with these numbers; others stay as they are here. What is read
  /// is no longer dirty. not_found.
  Task<> read(Ctx& ctx, Database& database, std::vector<std::uint32_t> fields = {});
  /// A row with all fields. already_exists.
  Task<> create(Ctx& ctx, Database& database);
  /// Writes the dirty fields; does nothing when there is none. not_found.
  Task<> update(Ctx& ctx, Database& database);
  /// The same, if nobody has written the row since it was read. aborted: somebody has.
  Task<> update_unchanged(Ctx& ctx, Database& database);
  /// Erases the row; the entity here stays as it is, and is dirty as a whole. not_found.
  Task<> erase(Ctx& ctx, Database& database);

 protected:
  google::protobuf::Message& mutable_entity() noexcept { return *entity_; }
  /// The top-level field that has this type. Throws std::logic_error when none or several have it.
  const google::protobuf::FieldDescriptor& field_of(const google::protobuf::Descriptor& type) const;

 private:
  class Taken;
  Task<> update_at(Ctx& ctx, Database& database, std::optional<std::uint64_t> version);
  /// Takes over what a row has; `fields` as for read().
  Status take(const Database::Row& row, const std::vector<std::uint32_t>& fields);
  StoredFields dirty_bytes();
  StoredFields all_bytes() const;
  void clean(const std::vector<std::uint32_t>& numbers);
  void mark_all();
  void mark_one(std::uint32_t number);

  const TableMeta* meta_;
  std::string key_;
  Status key_status_;
  std::unique_ptr<google::protobuf::Message> entity_;
  std::unique_ptr<google::protobuf::Message> scratch_;  // for one field at a time
  std::vector<std::uint32_t> dirty_;
  std::uint64_t version_ = 0;
};

/// An entity of type T: what a stateless service reads, changes and writes.
///
///   m3::Record<RoleDb> role("42");
///   co_await role.read(ctx, database);
///   RoleBase base = role.get<RoleBase>();
///   base.set_level(base.level() + 1);
///   role.set(base);                        // marks `base` dirty, if it has changed
///   co_await role.update_unchanged(ctx, database);
template <std::derived_from<google::protobuf::Message> T>
class Record : public RecordBase {
 public:
  explicit Record(std::string key) : RecordBase(table_meta<T>(), std::move(key)) {}
  Record(const TableMeta& meta, std::string key) : RecordBase(meta, std::move(key)) {}

  const T& get() const noexcept { return static_cast<const T&>(entity()); }
  /// The top-level field of this message type: the type has one.
  template <std::derived_from<google::protobuf::Message> M>
  const M& get() const {
    const auto& field = field_of(*M::descriptor());
    return static_cast<const M&>(entity().GetReflection()->GetMessage(entity(), &field));
  }
  /// Sets it. Setting the present value marks nothing.
  template <std::derived_from<google::protobuf::Message> M>
  void set(const M& value) {
    set_message(field_of(*M::descriptor()), value);
  }
  /// Any field, by its accessors; `number` is marked dirty: `role.edit(RoleDb::kLevelFieldNumber)
  /// .set_level(3)`.
  T& edit(std::uint32_t number) {
    mark_dirty(number);
    return static_cast<T&>(mutable_entity());
  }

 private:
  void set_message(const google::protobuf::FieldDescriptor& field,
                   const google::protobuf::Message& value);
};

namespace data_detail {
/// Whether the field has that value already; compares as protobuf does.
bool has_value(const google::protobuf::Message& entity,
               const google::protobuf::FieldDescriptor& field,
               const google::protobuf::Message& value);
std::uint32_t number_of(const google::protobuf::FieldDescriptor& field);
}  // namespace data_detail

template <std::derived_from<google::protobuf::Message> T>
void Record<T>::set_message(const google::protobuf::FieldDescriptor& field,
                            const google::protobuf::Message& value) {
  if (data_detail::has_value(entity(), field, value)) return;
  mark_dirty(data_detail::number_of(field));
  mutable_entity().GetReflection()->MutableMessage(&mutable_entity(), &field)->CopyFrom(value);
}

}  // namespace m3
