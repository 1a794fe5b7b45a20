// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/types.h"

#include <fmt/format.h>

#include <charconv>

#include "m3/base/near_names.h"
#include "m3/config/detail/schema_base.h"

namespace m3::config_detail {
namespace {

/// A number or boolean may come from the environment as text.
template <class Number>
bool number_from(const Value& value, Number& out) {
  const char* end = value.text.data() + value.text.size();
  auto [at, error] = std::from_chars(value.text.data(), end, out);
  return error == std::errc() && at == end && !value.text.empty();
}

bool is_env_text(const Value& value) {
  return value.kind == Value::Kind::string && value.from_environment;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// What to write instead, where the value itself says it.
std::string remedy(const Value& value, std::string_view expected) {
  using Kind = Value::Kind;
  if (expected == "a string" && (value.kind == Kind::integer || value.kind == Kind::floating ||
                                 value.kind == Kind::boolean || value.kind == Kind::date))
    return "; write it in quotes";
  if (expected == "a list" && value.kind == Kind::string) return "; write it in brackets: [\"…\"]";
  if (value.kind != Kind::string || value.from_environment) return "";
  double number = 0;
  const bool fits = expected == "true or false" ? value.text == "true" || value.text == "false"
                                                : number_from(value, number);
  const bool bare =
      expected == "true or false" || expected == "an integer" || expected == "a number";
  return fits && bare ? "; write it without quotes" : "";
}

/// m3game wrote log levels with a blank at the end and in capitals.
std::string folded_name(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  std::string out;
  for (char c : text) out += lower(c);
  return out;
}

}  // namespace

void Decoder::error(int at_line, std::string what) {
  errors.add({file, at_line, key, std::move(what)});
}

void Decoder::mismatch(const Value& value, std::string_view expected) {
  std::string found = secret ? "something else" : describe(value);
  if (is_env_text(value)) found += " from the environment";
  error(value.line,
        fmt::format("expected {}, found {}{}", expected, found, remedy(value, expected)));
}

bool decode_bool(const Value& value, bool& out, Decoder& decoder) {
  if (is_env_text(value) && (value.text == "true" || value.text == "false")) {
    out = value.text == "true";
    return true;
  }
  if (value.kind != Value::Kind::boolean) {
    decoder.mismatch(value, "true or false");
    return false;
  }
  out = value.boolean;
  return true;
}

bool decode_integer(const Value& value, std::int64_t least, std::int64_t most, std::int64_t& out,
                    Decoder& decoder) {
  bool good = value.kind == Value::Kind::integer;
  if (good) out = value.integer;
  if (is_env_text(value)) good = number_from(value, out);
  if (!good) {
    decoder.mismatch(value, "an integer");
    return false;
  }
  if (out >= least && out <= most) return true;
  const std::string shown = decoder.secret ? "it" : std::to_string(out);
  const std::string allowed =
      decoder.allowed.empty() ? fmt::format("{} to {}", least, most) : std::string(decoder.allowed);
  decoder.error(value.line, fmt::format("{} is out of range; allowed: {}", shown, allowed));
  return false;
}

bool decode_float(const Value& value, double& out, Decoder& decoder) {
  if (is_env_text(value) && number_from(value, out)) return true;
  if (value.kind == Value::Kind::integer) {
    out = static_cast<double>(value.integer);
  } else if (value.kind == Value::Kind::floating) {
    out = value.floating;
  } else {
    decoder.mismatch(value, "a number");
    return false;
  }
  return true;
}

bool decode_string(const Value& value, std::string& out, Decoder& decoder) {
  if (value.kind != Value::Kind::string) {
    decoder.mismatch(value, "a string");
    return false;
  }
  out = value.text;
  return true;
}

bool decode_text(const Value& value, std::string_view expected, std::string_view example,
                 Decoder& decoder) {
  if (value.kind == Value::Kind::string) return true;
  std::string wanted =
      expected == "string" ? "a string" : fmt::format("a string with a {}", expected);
  if (!example.empty()) wanted += fmt::format(" like \"{}\"", example);
  decoder.mismatch(value, wanted);
  return false;
}

bool decode_duration(const Value& value, Duration least, Duration& out, Decoder& decoder) {
  if (value.kind == Value::Kind::integer && !decoder.secret) {
    decoder.error(
        value.line,
        fmt::format(
            "expected a duration, found the integer {}; write its unit, like \"{}s\" or \"{}ms\"",
            value.integer, value.integer, value.integer));
    return false;
  }
  if (!decode_text(value, "duration", "10s", decoder)) return false;
  auto parsed = parse_duration(value.text);
  if (!parsed) {
    decoder.error(value.line, decoder.secret ? "it is not a duration" : parsed.status().text());
    return false;
  }
  if (*parsed % least != Duration::zero()) {
    decoder.error(value.line, fmt::format("{} is finer than {}", format_duration(*parsed),
                                          format_duration(least)));
    return false;
  }
  out = *parsed;
  return true;
}

bool decode_name(const Value& value, std::span<const std::string_view> names, std::size_t& index,
                 Decoder& decoder) {
  std::string all;
  for (std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  if (value.kind != Value::Kind::string) {
    decoder.mismatch(value, "one of " + all);
    return false;
  }
  std::string wanted = folded_name(value.text);
  for (index = 0; index < names.size(); ++index)
    if (folded_name(names[index]) == wanted) return true;
  std::string hint = did_you_mean(value.text, names);
  decoder.error(value.line,
                fmt::format("{} is not one of {}{}",
                            decoder.secret ? "it" : "\"" + value.text.substr(0, 40) + "\"", all,
                            hint.empty() ? "" : " (" + hint + ")"));
  return false;
}

bool decode_struct(const Value& value, const SchemaBase& schema, void* out, Decoder& decoder) {
  return decode_table(value, schema, out, decoder, {});
}

Value encode_struct(const SchemaBase& schema, const void* value) {
  Value out = Value::table();
  for (const FieldInfo& field : schema.fields())
    out.add(field.name, field.ops->encode(field.at(value)));
  return out;
}

bool decode_items(const Value& value, std::string_view expected, Value::Kind kind, Decoder& decoder,
                  const std::function<bool(std::size_t, Decoder&)>& item) {
  if (kind == Value::Kind::array && value.kind == Value::Kind::table) {
    decoder.error(value.line,
                  fmt::format("expected a list, found one [{0}]; write [[{0}]], once for "
                              "each item",
                              decoder.key));
    return false;
  }
  if (value.kind != kind) {
    decoder.mismatch(value, expected);
    return false;
  }
  bool good = true;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (value.items[i].reported) {
      good = false;
      continue;
    }
    std::string name = kind == Value::Kind::array
                           ? fmt::format("{}[{}]", decoder.key, i)
                           : fmt::format("{}.{}", decoder.key, toml_key(value.names[i]));
    Decoder inner{decoder.file,        decoder.errors, std::move(name),
                  value.items[i].line, decoder.secret, decoder.allowed};
    good = item(i, inner) && good;
  }
  return good;
}

}  // namespace m3::config_detail
