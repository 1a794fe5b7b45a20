// SPDX-License-Identifier: BSL-1.0
#include <toml++/toml.h>

#include <sstream>

#include "m3/config/detail/toml_text.h"

namespace m3::config_detail {
namespace {

template <class Date>
Value date_of(const Date& date) {
  std::ostringstream out;
  out << date;
  Value value = Value::of(out.str());
  value.kind = Value::Kind::date;
  return value;
}

Value convert(const toml::node& node);

Value convert_table(const toml::table& table) {
  struct Member {
    const toml::key* key;
    const toml::node* node;
  };
  std::vector<Member> members;
  for (auto&& [key, node] : table) members.push_back({&key, &node});
  auto place = [](const Member& member) {
    auto begin = member.key->source().begin;
    return std::pair(begin.line, begin.column);
  };
  std::sort(members.begin(), members.end(),
            [&](const Member& a, const Member& b) { return place(a) < place(b); });
  Value out = Value::table();
  for (const Member& member : members) {
    Value value = convert(*member.node);
    value.line = static_cast<int>(member.key->source().begin.line);
    out.add(std::string(member.key->str()), std::move(value));
  }
  return out;
}

Value convert_kind(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return convert_table(*node.as_table());
    case toml::node_type::array: {
      Value out = Value::array();
      for (const toml::node& item : *node.as_array()) out.items.push_back(convert(item));
      return out;
    }
    case toml::node_type::string:
      return Value::of(node.as_string()->get());
    case toml::node_type::integer:
      return Value::of(std::int64_t{node.as_integer()->get()});
    case toml::node_type::floating_point:
      return Value::of(node.as_floating_point()->get());
    case toml::node_type::boolean:
      return Value::of(node.as_boolean()->get());
    case toml::node_type::date:
      return date_of(node.as_date()->get());
    case toml::node_type::time:
      return date_of(node.as_time()->get());
    case toml::node_type::date_time:
      return date_of(node.as_date_time()->get());
    default:
      return Value();
  }
}

Value convert(const toml::node& node) {
  Value value = convert_kind(node);
  value.line = static_cast<int>(node.source().begin.line);
  return value;
}

}  // namespace

Value parse_toml(std::string_view text, Decoder& decoder) {
  try {
    return convert(toml::parse(text));
  } catch (const toml::parse_error& error) {
    decoder.error(static_cast<int>(error.source().begin.line), std::string(error.description()));
    return Value();
  }
}

}  // namespace m3::config_detail
