// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace m3::config_detail {
namespace {

bool is_bare(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string out = fmt::format("{}", value);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

/// Cut at a character of UTF-8, not inside one.
std::string shortened(std::string_view text) {
  constexpr std::size_t kMost = 40;
  if (text.size() <= kMost) return std::string(text);
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace

Value Value::of(bool value) {
  Value out;
  out.kind = Kind::boolean;
  out.boolean = value;
  return out;
}
Value Value::of(std::int64_t value) {
  Value out;
  out.kind = Kind::integer;
  out.integer = value;
  return out;
}
Value Value::of(double value) {
  Value out;
  out.kind = Kind::floating;
  out.floating = value;
  return out;
}
Value Value::of(std::string value) {
  Value out;
  out.kind = Kind::string;
  out.text = std::move(value);
  return out;
}
Value Value::array() {
  Value out;
  out.kind = Kind::array;
  return out;
}
Value Value::table() {
  Value out;
  out.kind = Kind::table;
  return out;
}

void Value::add(std::string name, Value value) {
  names.push_back(std::move(name));
  items.push_back(std::move(value));
}

Value* Value::find(std::string_view name) {
  auto at = std::find(names.begin(), names.end(), name);
  return at == names.end() ? nullptr : &items[static_cast<std::size_t>(at - names.begin())];
}
const Value* Value::find(std::string_view name) const {
  return const_cast<Value*>(this)->find(name);
}

bool Value::remove(std::string_view name) {
  auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return false;
  items.erase(items.begin() + (at - names.begin()));
  names.erase(at);
  return true;
}

bool same(const Value& a, const Value& b) {
  auto same_double = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return a.kind == b.kind && a.boolean == b.boolean && a.integer == b.integer &&
         same_double(a.floating, b.floating) && a.text == b.text && a.names == b.names &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same);
}

bool is_table_list(const Value& value) {
  return value.kind == Value::Kind::array && !value.items.empty() &&
         value.items.front().kind == Value::Kind::table;
}

std::string describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::boolean:
      return value.boolean ? "the boolean true" : "the boolean false";
    case Value::Kind::integer:
      return fmt::format("the integer {}", value.integer);
    case Value::Kind::floating:
      return "the number " + float_text(value.floating);
    case Value::Kind::string:
      return "the string " + quoted(shortened(value.text));
    case Value::Kind::array:
      return "an array";
    case Value::Kind::table:
      return "a table";
    case Value::Kind::date:
      return "a date or time";
    case Value::Kind::none:
      break;
  }
  return "nothing";
}

std::string toml_key(std::string_view key) { return is_bare(key) ? std::string(key) : quoted(key); }

std::string to_toml(const Value& value) {
  std::string out;
  switch (value.kind) {
    case Value::Kind::boolean:
      return value.boolean ? "true" : "false";
    case Value::Kind::integer:
      return std::to_string(value.integer);
    case Value::Kind::floating:
      return float_text(value.floating);
    case Value::Kind::date:
      return value.text;
    case Value::Kind::string:
      return quoted(value.text);
    case Value::Kind::array:
      for (const Value& item : value.items) out += (out.empty() ? "" : ", ") + to_toml(item);
      return "[" + out + "]";
    case Value::Kind::table:
      for (std::size_t i = 0; i < value.items.size(); ++i)
        out +=
            (out.empty() ? "" : ", ") + toml_key(value.names[i]) + " = " + to_toml(value.items[i]);
      return out.empty() ? "{}" : "{ " + out + " }";
    case Value::Kind::none:
      break;
  }
  return "\"\"";
}

}  // namespace m3::config_detail
