// SPDX-License-Identifier: BSL-1.0
#include "m3/data/table.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "m3/base/snake_case.h"
#include "m3/options.pb.h"
#include "m3/plugin/rows.h"
#include "options.pb.h"

namespace m3 {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Status bad(const Descriptor& type, std::string text) {
  return Status(Errc::invalid_argument,
                "message " + std::string(type.full_name()) + " " + std::move(text));
}

/// The name of the key field; empty: the type says none.
std::string key_name(const Descriptor& type) {
  if (type.options().HasExtension(m3::table)) {
    const std::string& key = type.options().GetExtension(m3::table).key();
    if (!key.empty()) return key;
  }
  if (type.options().HasExtension(::db_primary_key))
    return type.options().GetExtension(::db_primary_key);
  for (int i = 0; i < type.field_count(); ++i)
    if (type.field(i)->options().HasExtension(::dbfield_option) &&
        type.field(i)->options().GetExtension(::dbfield_option).primary())
      return std::string(type.field(i)->name());
  return {};
}

bool is_integer(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return true;
    default:
      return false;
  }
}

Status check_key(const Descriptor& type, const FieldDescriptor& key) {
  const bool is_text = key.type() == FieldDescriptor::TYPE_STRING;
  if (key.is_repeated() || key.real_containing_oneof() || (!is_text && !is_integer(key)))
    return bad(type, "has the key '" + std::string(key.name()) +
                         "', which is neither a string nor an integer");
  return ok;
}

/// Whether the bytes are UTF-8 as RFC 3629 has it.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<std::uint8_t>(text[i]);
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return false;
    const std::size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (more > text.size() - i - 1) return false;
    std::uint32_t code = more == 0 ? first : first & (0x3fu >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<std::uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    const bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += more + 1;
  }
  return true;
}

/// Through the widest type of its kind: false when it does not fit.
template <class Wide, class Narrow>
bool parse_integer(const std::string& text, Narrow& value) {
  Wide wide = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, wide);
  value = static_cast<Narrow>(wide);
  return error == std::errc() && at == end && static_cast<Wide>(value) == wide;
}

bool set_integer(Message& entity, const FieldDescriptor& field, const std::string& text) {
  const Reflection& reflection = *entity.GetReflection();
  std::int32_t i32 = 0;
  std::int64_t i64 = 0;
  std::uint32_t u32 = 0;
  std::uint64_t u64 = 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (!parse_integer<std::int64_t>(text, i32)) return false;
      reflection.SetInt32(&entity, &field, i32);
      return true;
    case FieldDescriptor::CPPTYPE_INT64:
      if (!parse_integer<std::int64_t>(text, i64)) return false;
      reflection.SetInt64(&entity, &field, i64);
      return true;
    case FieldDescriptor::CPPTYPE_UINT32:
      if (!parse_integer<std::uint64_t>(text, u32)) return false;
      reflection.SetUInt32(&entity, &field, u32);
      return true;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (!parse_integer<std::uint64_t>(text, u64)) return false;
      reflection.SetUInt64(&entity, &field, u64);
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<TableMeta> make_table_meta(const Message& prototype, std::string table_name) {
  const Descriptor& type = *prototype.GetDescriptor();
  const std::string key = key_name(type);
  if (key.empty())
    return bad(type, "has no key: write option (m3.table).key = \"NAME\" with a field of it");
  const FieldDescriptor* key_field = type.FindFieldByName(key);
  if (!key_field) return bad(type, "has the key '" + key + "', which is not a field of it");
  if (Status good = check_key(type, *key_field); !good) return good;
  TableMeta meta;
  meta.name = type.full_name();
  meta.table = std::move(table_name);
  if (meta.table.empty()) meta.table = type.options().GetExtension(m3::table).name();
  if (meta.table.empty()) meta.table = snake_case(std::string(type.name()));
  if (!is_table_name(meta.table) || meta.table.front() == '_')
    return bad(type, "has the table '" + meta.table +
                         "': use 1 to 64 lower-case letters, digits and '_', a letter first");
  meta.key = static_cast<std::uint32_t>(key_field->number());
  meta.prototype = &prototype;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    meta.fields.push_back({static_cast<std::uint32_t>(field.number()), std::string(field.name()),
                           &field == key_field});
  }
  std::sort(meta.fields.begin(), meta.fields.end(),
            [](const FieldMeta& a, const FieldMeta& b) { return a.number < b.number; });
  return meta;
}

const TableMeta& data_detail::checked_table_meta(const Message& prototype) {
  Result<TableMeta> made = make_table_meta(prototype);
  if (!made.is_ok()) {
    std::fprintf(stderr, "%s\n", made.status().text().c_str());
    std::abort();
  }
  return *new TableMeta(*std::move(made));  // as long as the type
}

std::string key_of(const TableMeta& meta, const Message& entity) {
  const FieldDescriptor& field =
      *entity.GetDescriptor()->FindFieldByNumber(static_cast<int>(meta.key));
  const Reflection& reflection = *entity.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(entity, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection.GetInt64(entity, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection.GetUInt32(entity, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection.GetUInt64(entity, &field));
    default:
      return reflection.GetString(entity, &field);
  }
}

Status set_key(const TableMeta& meta, Message& entity, const std::string& key) {
  const FieldDescriptor& field =
      *entity.GetDescriptor()->FindFieldByNumber(static_cast<int>(meta.key));
  if (field.type() == FieldDescriptor::TYPE_STRING) {
    entity.GetReflection()->SetString(&entity, &field, key);
    // protobuf writes any bytes, and reads only UTF-8 again.
    if (is_utf8(key)) return ok;
    return Status(Errc::invalid_argument, "a key of " + meta.name + " is not UTF-8");
  }
  // "007" would be another row than "7" of the same entity.
  if (set_integer(entity, field, key) && key_of(meta, entity) == key) return ok;
  return Status(Errc::invalid_argument, "'" + key + "' is not a key of " + meta.name + ": its " +
                                            std::string(field.name()) + " is an integer (" +
                                            field.type_name() + ")");
}

}  // namespace m3
