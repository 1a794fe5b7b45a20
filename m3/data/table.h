// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "m3/base/result.h"
#include "m3/base/table_meta.h"

namespace m3 {

/// How entities of a message type are stored, as its .proto says: `option (m3.table) = { name:
/// "role" key: "role_id" }` on the message (without a name the table of RoleDb is "role_db"), or
/// m3game's options: db_primary_key on the message, dbfield_option.primary on the key field. The
/// key is a string or an integer. invalid_argument: the type says no key, or one that cannot be.
/// `table_name`: another table than the one that the .proto names.
Result<TableMeta> make_table_meta(const google::protobuf::Message& prototype,
                                  std::string table_name = {});

/// The same of a type that is known here, made once. A type that cannot be stored ends the process
/// with what is wrong: it is a mistake in a .proto, which protoc-gen-m3 reports too.
template <class T>
const TableMeta& table_meta();

/// The key of an entity as rows have it: the text of a string, or an integer in decimals.
std::string key_of(const TableMeta& meta, const google::protobuf::Message& entity);
/// Sets the key field. invalid_argument: the key is not an integer where one is needed.
Status set_key(const TableMeta& meta, google::protobuf::Message& entity, const std::string& key);

namespace data_detail {
const TableMeta& checked_table_meta(const google::protobuf::Message& prototype);
}

template <class T>
const TableMeta& table_meta() {
  static const TableMeta& meta = data_detail::checked_table_meta(T::default_instance());
  return meta;
}

}  // namespace m3
