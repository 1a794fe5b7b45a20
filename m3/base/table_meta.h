// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace m3 {

/// A table's name is 1 to 64 lower-case letters, digits and '_', the first one a letter (or '_',
/// for m3's own tables). It does not begin with "sqlite_".
bool is_table_name(std::string_view name) noexcept;

/// A top-level field of an entity.
struct FieldMeta {
  std::uint32_t number = 0;  ///< its number in the .proto, under which it is stored
  std::string name;
  bool is_key = false;
};

/// How entities of one message type are stored. Made once per type (m3/data/table.h); a value.
struct TableMeta {
  std::string name;               ///< of the message: "demo.RoleDb"
  std::string table;              ///< where its rows are: "role_db"
  std::uint32_t key = 0;          ///< number of the key field
  std::vector<FieldMeta> fields;  ///< all of them, by ascending number
  /// An empty entity, whose New() makes another. Lives as long as its type.
  const google::protobuf::Message* prototype = nullptr;

  /// Null: there is no such field.
  const FieldMeta* find(std::string_view field_name) const noexcept {
    for (const FieldMeta& field : fields)
      if (field.name == field_name) return &field;
    return nullptr;
  }
  const FieldMeta* find(std::uint32_t number) const noexcept {
    for (const FieldMeta& field : fields)
      if (field.number == number) return &field;
    return nullptr;
  }
};

}  // namespace m3
