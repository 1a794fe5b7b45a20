// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace m3::config_detail {

/// The contents of a TOML file, as a tree with line numbers.
struct Value {
  enum class Kind : std::uint8_t { none, boolean, integer, floating, string, array, table, date };

  Kind kind = Kind::none;
  bool from_environment = false;  ///< a string that had ${…} in it: may stand for a number
  bool reported = false;          ///< a string whose ${…} was reported as wrong: not looked at
  int line = 0;
  bool boolean = false;
  std::int64_t integer = 0;
  double floating = 0;
  std::string text;
  std::vector<std::string> names;  ///< of a table's members, beside items
  std::vector<Value> items;        ///< of an array or a table

  static Value of(bool value);
  static Value of(std::int64_t value);
  static Value of(double value);
  static Value of(std::string value);
  static Value array();
  static Value table();

  void add(std::string name, Value value);
  const Value* find(std::string_view name) const;
  Value* find(std::string_view name);
  bool remove(std::string_view name);
};

/// Ignores lines.
bool same(const Value& a, const Value& b);
/// Of the kind of [[name]]: an array with a table in it.
bool is_table_list(const Value& value);
/// "the integer 5", "the string \"x\"", "a table": for error texts.
std::string describe(const Value& value);
/// As TOML writes it, in one line.
std::string to_toml(const Value& value);
/// A key as TOML writes it: bare where that is allowed, else quoted.
std::string toml_key(std::string_view key);

}  // namespace m3::config_detail
