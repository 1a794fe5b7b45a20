// SPDX-License-Identifier: BSL-1.0
#include "codegen/entities.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <map>
#include <string>
#include <vector>

#include "codegen/names.h"
#include "codegen/rpc_options.h"
#include "m3/base/near_names.h"
#include "m3/base/snake_case.h"
#include "m3/base/table_meta.h"
#include "m3/options.pb.h"
#include "options.pb.h"

namespace m3::codegen_detail {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

Place place_of_field(const FieldDescriptor& field) {
  return place_of(*field.containing_type()).at({DescriptorProto::kFieldFieldNumber, field.index()});
}

class EntityCheck {
 public:
  EntityCheck(const Descriptor& message, Diagnostics& errors)
      : message_(message), errors_(errors) {}

  void run() {
    const auto& options = message_.options();
    if (options.HasExtension(m3::table)) return check_ours(options.GetExtension(m3::table));
    if (options.HasExtension(::db_primary_key)) return check_seed_key();
    check_flags();
  }

 private:
  Place option(std::initializer_list<int> steps) const {
    return place_of(message_).at({DescriptorProto::kOptionsFieldNumber}).at(steps);
  }

  void check_ours(const TableOptions& table) {
    const std::string name = table.name().empty() ? snake_case(message_.name()) : table.name();
    if (!is_table_name(name) || name.front() == '_')
      errors_.error(option({m3::kTableFieldNumber, TableOptions::kNameFieldNumber}),
                    "(m3.table).name '" + name +
                        "' is not a name of a table: use 1 to 64 lower-case letters, digits and "
                        "'_', a letter first");
    const Place place = option({m3::kTableFieldNumber, TableOptions::kKeyFieldNumber});
    if (table.key().empty())
      errors_.error(place, "message " + message_.full_name() +
                               " has (m3.table) but no key: write `key: \"NAME\"` with the field "
                               "that identifies an entity");
    else
      check_key("(m3.table).key", table.key(), place);
  }

  /// m3game's rule: besides the key, an entity has message fields of distinct types.
  void check_seed_key() {
    const std::string& key = message_.options().GetExtension(::db_primary_key);
    check_key("(db_primary_key)", key, option({::kDbPrimaryKeyFieldNumber}));
    std::map<const Descriptor*, const FieldDescriptor*> types;
    for (int i = 0; i < message_.field_count(); ++i) {
      const FieldDescriptor& field = *message_.field(i);
      if (field.name() == key) continue;
      if (!field.message_type() || field.is_repeated()) {
        errors_.error(place_of_field(field),
                      "field '" + field.name() + "' of " + message_.full_name() +
                          " must be a single message, because the message has (db_primary_key): "
                          "use (m3.table).key, which allows every type");
        continue;
      }
      const auto [first, is_new] = types.emplace(field.message_type(), &field);
      if (!is_new)
        errors_.error(place_of_field(field),
                      "fields '" + first->second->name() + "' and '" + field.name() + "' of " +
                          message_.full_name() + " have the same type " +
                          field.message_type()->full_name() +
                          ", because of (db_primary_key) each needs a type of its own: use "
                          "(m3.table).key, which allows both");
    }
  }

  void check_flags() {
    const FieldDescriptor* primary = nullptr;
    for (int i = 0; i < message_.field_count(); ++i) {
      const FieldDescriptor& field = *message_.field(i);
      if (!field.options().GetExtension(::dbfield_option).primary()) continue;
      if (primary)
        errors_.error(place_of_field(field), "fields '" + primary->name() + "' and '" +
                                                 field.name() + "' of " + message_.full_name() +
                                                 " are both primary: an entity has one key");
      primary = &field;
      check_key("(dbfield_option).primary", field.name(), place_of_field(field));
    }
  }

  void check_key(const std::string& what, const std::string& key, const Place& place) {
    const FieldDescriptor* field = message_.FindFieldByName(key);
    if (!field) {
      std::vector<std::string_view> names;
      for (int i = 0; i < message_.field_count(); ++i) names.push_back(message_.field(i)->name());
      const std::string near = did_you_mean(key, names);
      errors_.error(place, what + " '" + key + "' is not a field of " + message_.full_name() +
                               (near.empty() ? "" : ": " + near));
    } else if (!can_be_key(*field) || field->real_containing_oneof()) {
      errors_.error(place, what + " '" + key + "' must be a single string or integer field of " +
                               message_.full_name());
    }
  }

  const Descriptor& message_;
  Diagnostics& errors_;
};

void check_message(const Descriptor& message, Diagnostics& errors) {
  EntityCheck(message, errors).run();
  for (int i = 0; i < message.nested_type_count(); ++i)
    check_message(*message.nested_type(i), errors);
}

}  // namespace

void check_entities(const FileDescriptor& file, Diagnostics& errors) {
  for (int i = 0; i < file.message_type_count(); ++i) check_message(*file.message_type(i), errors);
}

}  // namespace m3::codegen_detail
