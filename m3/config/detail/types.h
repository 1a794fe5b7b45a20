// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "m3/base/duration.h"
#include "m3/config/detail/value.h"
#include "m3/config/errors.h"

// How each C++ type is read from and written as a Value. Templates only bind types; the work is in
// types.cpp.

namespace m3 {
template <class T>
class Schema;
}

namespace m3::config_detail {

class SchemaBase;

/// The position of decoding, and its errors.
struct Decoder {
  const std::string& file;
  ErrorList& errors;
  std::string key = {};           ///< of the value being decoded
  int line = 0;                   ///< of the innermost value that has one
  bool secret = false;            ///< its value must not be shown
  std::string_view allowed = {};  ///< of the key, as declared: "1 to 256"
  void error(int at_line, std::string what);
  /// "…; found the integer 5", or only its type when it is secret.
  void mismatch(const Value& value, std::string_view expected);
};

/// One type's operations; a static of type_ops<M>().
struct TypeOps {
  std::string (*name)();  ///< for people: "duration", "list of strings"
  bool (*decode)(const Value& value, void* out, Decoder& decoder);
  Value (*encode)(const void* value);       ///< Kind::none: an optional that is not set
  const SchemaBase* (*schema)() = nullptr;  ///< of the struct, or of a container's elements
  /// Of an optional: that of what is in it.
  enum class Shape : std::uint8_t { plain, structure, list, map } shape = Shape::plain;
  bool optional = false;
  /// Its memory holds the fields of schema().
  bool structure_members() const { return shape == Shape::structure && !optional; }
};

template <class M>
const TypeOps& type_ops();

bool decode_bool(const Value& value, bool& out, Decoder& decoder);
bool decode_integer(const Value& value, std::int64_t least, std::int64_t most, std::int64_t& out,
                    Decoder& decoder);
bool decode_float(const Value& value, double& out, Decoder& decoder);
bool decode_string(const Value& value, std::string& out, Decoder& decoder);
/// A string that parse() then reads.
bool decode_text(const Value& value, std::string_view expected, std::string_view example,
                 Decoder& decoder);
bool decode_duration(const Value& value, Duration least, Duration& out, Decoder& decoder);
bool decode_name(const Value& value, std::span<const std::string_view> names, std::size_t& index,
                 Decoder& decoder);
bool decode_struct(const Value& value, const SchemaBase& schema, void* out, Decoder& decoder);
Value encode_struct(const SchemaBase& schema, const void* value);
bool decode_items(const Value& value, std::string_view expected, Value::Kind kind, Decoder& decoder,
                  const std::function<bool(std::size_t, Decoder&)>& item);

template <class M>
inline constexpr bool is_vector = false;
template <class E>
inline constexpr bool is_vector<std::vector<E>> = true;
template <class M>
inline constexpr bool is_map = false;
template <class E>
inline constexpr bool is_map<std::map<std::string, E>> = true;
template <class M>
inline constexpr bool is_optional = false;
template <class E>
inline constexpr bool is_optional<std::optional<E>> = true;
template <class M>
inline constexpr bool is_duration = false;
template <class R, class P>
inline constexpr bool is_duration<std::chrono::duration<R, P>> = true;

template <class M>
concept Described = requires(Schema<M>& schema) { M::describe(schema); };
/// Types with `static Result<M> parse(string_view)` and to_string(): ByteSize, AppId, ….
template <class M>
concept Parsed = requires(std::string_view text, const M& value) {
  { M::parse(text).value() } -> std::convertible_to<M>;
  { value.to_string() } -> std::convertible_to<std::string>;
};
/// Enums with a function `enum_names(E)` beside them: a range of pairs {name, value}.
template <class M>
concept NamedEnum = std::is_enum_v<M> && requires(M value) { enum_names(value).begin()->first; };

/// Types that look at the value themselves: `static Result<M> from_value(const Value&)`,
/// to_value().
template <class M>
concept FromValue = requires(const Value& value, const M& given) {
  { M::from_value(value).value() } -> std::convertible_to<M>;
  { given.to_value() } -> std::convertible_to<Value>;
};

template <class M>
const SchemaBase& schema_of();

template <NamedEnum M>
std::vector<std::string_view> names_of() {
  std::vector<std::string_view> out;
  for (const auto& entry : enum_names(M())) out.push_back(entry.first);
  return out;
}

template <class M>
std::string type_name() {
  if constexpr (std::same_as<M, bool>) {
    return "boolean";
  } else if constexpr (std::integral<M>) {
    return "integer";
  } else if constexpr (std::floating_point<M>) {
    return "number";
  } else if constexpr (std::same_as<M, std::string>) {
    return "string";
  } else if constexpr (is_duration<M>) {
    return "duration";
  } else if constexpr (NamedEnum<M>) {
    std::string out;
    for (std::string_view name : names_of<M>())
      out += (out.empty() ? "one of " : ", ") + std::string(name);
    return out;
  } else if constexpr (is_vector<M>) {
    return "list of " + type_name<typename M::value_type>();
  } else if constexpr (is_map<M>) {
    return "table of " + type_name<typename M::mapped_type>();
  } else if constexpr (is_optional<M>) {
    return type_name<typename M::value_type>() + ", optional";
  } else if constexpr (Described<M>) {
    return "table";
  } else if constexpr (requires { M::kTypeName; }) {
    return std::string(M::kTypeName);
  } else {
    return "string";
  }
}

template <class M>
bool decode_into(const Value& value, M& out, Decoder& decoder) {
  if constexpr (std::same_as<M, bool>) {
    return decode_bool(value, out, decoder);
  } else if constexpr (std::integral<M>) {
    constexpr auto kMost =
        std::cmp_less(std::numeric_limits<M>::max(), std::numeric_limits<std::int64_t>::max())
            ? static_cast<std::int64_t>(std::numeric_limits<M>::max())
            : std::numeric_limits<std::int64_t>::max();
    std::int64_t number = 0;
    if (!decode_integer(value, static_cast<std::int64_t>(std::numeric_limits<M>::min()), kMost,
                        number, decoder))
      return false;
    out = static_cast<M>(number);
  } else if constexpr (std::floating_point<M>) {
    double number = 0;
    if (!decode_float(value, number, decoder)) return false;
    out = static_cast<M>(number);
  } else if constexpr (std::same_as<M, std::string>) {
    return decode_string(value, out, decoder);
  } else if constexpr (is_duration<M>) {
    Duration exact{};
    if (!decode_duration(value, std::chrono::duration_cast<Duration>(M(1)), exact, decoder))
      return false;
    out = std::chrono::duration_cast<M>(exact);
  } else if constexpr (NamedEnum<M>) {
    std::size_t index = 0;
    if (!decode_name(value, names_of<M>(), index, decoder)) return false;
    out = (enum_names(M()).begin() + static_cast<std::ptrdiff_t>(index))->second;
  } else if constexpr (is_vector<M>) {
    out.clear();
    return decode_items(value, "a list", Value::Kind::array, decoder,
                        [&](std::size_t i, Decoder& inner) {
                          typename M::value_type item{};
                          bool good = decode_into(value.items[i], item, inner);
                          if (good) out.push_back(std::move(item));
                          return good;
                        });
  } else if constexpr (is_map<M>) {
    out.clear();
    return decode_items(value, "a table", Value::Kind::table, decoder,
                        [&](std::size_t i, Decoder& inner) {
                          return decode_into(value.items[i], out[value.names[i]], inner);
                        });
  } else if constexpr (is_optional<M>) {
    typename M::value_type item{};
    if (!decode_into(value, item, decoder)) return false;
    out = std::move(item);
  } else if constexpr (Described<M>) {
    return decode_struct(value, schema_of<M>(), &out, decoder);
  } else if constexpr (FromValue<M>) {
    auto read = M::from_value(value);
    if (!read) {
      decoder.error(value.line,
                    decoder.secret ? "it does not have the right form" : read.status().text());
      return false;
    }
    out = *std::move(read);
  } else {
    static_assert(
        Parsed<M>,
        "a config field must be a bool, number, string, duration, enum with enum_names(), vector, "
        "map, optional, a struct with describe(), or a type with parse() and to_string(), or with "
        "from_value() and to_value()");
    if (!decode_text(value, type_name<M>(), M().to_string(), decoder)) return false;
    auto parsed = M::parse(value.text);
    if (!parsed) {
      decoder.error(value.line,
                    decoder.secret ? "it does not have the right form" : parsed.status().text());
      return false;
    }
    out = *std::move(parsed);
  }
  return true;
}

template <class M>
Value encode_from(const M& value) {
  if constexpr (std::same_as<M, bool>) {
    return Value::of(value);
  } else if constexpr (std::integral<M>) {
    return Value::of(static_cast<std::int64_t>(value));
  } else if constexpr (std::floating_point<M>) {
    return Value::of(static_cast<double>(value));
  } else if constexpr (std::same_as<M, std::string>) {
    return Value::of(value);
  } else if constexpr (is_duration<M>) {
    return Value::of(format_duration(std::chrono::duration_cast<Duration>(value)));
  } else if constexpr (NamedEnum<M>) {
    for (const auto& entry : enum_names(value))
      if (entry.second == value) return Value::of(std::string(entry.first));
    return Value::of(std::string());
  } else if constexpr (is_vector<M>) {
    Value out = Value::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
      const typename M::value_type& item = value[i];  // vector<bool> has no pointers
      out.items.push_back(encode_from(item));
    }
    return out;
  } else if constexpr (is_map<M>) {
    Value out = Value::table();
    for (const auto& [name, item] : value) out.add(name, encode_from(item));
    return out;
  } else if constexpr (is_optional<M>) {
    return value ? encode_from(*value) : Value();
  } else if constexpr (Described<M>) {
    return encode_struct(schema_of<M>(), &value);
  } else if constexpr (FromValue<M>) {
    return value.to_value();
  } else {
    return Value::of(std::string(value.to_string()));
  }
}

template <class M>
constexpr const SchemaBase* (*schema_function())() {
  if constexpr (is_vector<M>) {
    return schema_function<typename M::value_type>();
  } else if constexpr (is_map<M>) {
    return schema_function<typename M::mapped_type>();
  } else if constexpr (is_optional<M>) {
    return schema_function<typename M::value_type>();
  } else if constexpr (Described<M>) {
    return [] { return &schema_of<M>(); };
  } else {
    return nullptr;
  }
}

template <class M>
constexpr TypeOps::Shape shape_of() {
  if constexpr (is_vector<M>) return TypeOps::Shape::list;
  if constexpr (is_map<M>) return TypeOps::Shape::map;
  if constexpr (Described<M>) return TypeOps::Shape::structure;
  if constexpr (is_optional<M>) return shape_of<typename M::value_type>();
  return TypeOps::Shape::plain;
}

template <class M>
const TypeOps& type_ops() {
  static constexpr TypeOps kOps{
      &type_name<M>,
      [](const Value& value, void* out, Decoder& decoder) {
        return decode_into(value, *static_cast<M*>(out), decoder);
      },
      [](const void* value) { return encode_from(*static_cast<const M*>(value)); },
      schema_function<M>(),
      shape_of<M>(),
      is_optional<M>};
  return kOps;
}

}  // namespace m3::config_detail
