// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using m3::Errc;
using m3::Status;
using Json = nlohmann::json;

/// As deep as protobuf reads JSON and messages.
constexpr std::size_t kMostNesting = 100;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

/// The line of `at` with a caret under it.
Status not_json(std::string_view json, std::size_t at, std::string why) {
  at = std::min(at, json.size());
  const std::size_t before = at == 0 ? std::string_view::npos : json.rfind('\n', at - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const std::size_t end = std::min(json.find('\n', begin), json.size());
  const auto line =
      std::count(json.begin(), json.begin() + static_cast<std::ptrdiff_t>(begin), '\n') + 1;
  // Only the part of a long line around the place.
  const std::size_t from = std::max(begin, at > 60 ? at - 60 : 0);
  const std::string shown(json.substr(from, std::min<std::size_t>(end - from, 100)));
  std::size_t column = 0;  // characters, not bytes
  for (std::size_t i = from; i < at; ++i)
    column += (static_cast<unsigned char>(json[i]) & 0xc0) != 0x80;
  return wrong("this is not JSON: line " + std::to_string(line) + ", column " +
               std::to_string(at - begin + 1) + ": " + why + "\n  " + shown + "\n  " +
               std::string(column, ' ') + "^");
}

/// The text with each character inside a string replaced by a space.
std::string without_strings(std::string_view json) {
  std::string out(json);
  bool inside = false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char c = out[i];
    if (inside) out[i] = ' ';
    if (c == '"') inside = !inside;
    if (inside && c == '\\' && i + 1 < out.size()) out[++i] = ' ';
  }
  return out;
}

/// The bracket that is nested too deeply; npos: none.
std::size_t too_deep_at(std::string_view json) {
  const std::string plain = without_strings(json);
  std::size_t depth = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (plain[i] == '{' || plain[i] == '[') ++depth;
    if ((plain[i] == '}' || plain[i] == ']') && depth > 0) --depth;
    if (depth > kMostNesting) return i;
  }
  return std::string::npos;
}

/// For "number overflow parsing '1e400'": the first such number is the one that was read.
Status too_large(std::string_view json, const std::string& what) {
  const std::size_t quote = what.find('\'');
  const std::string number =
      quote == std::string::npos ? "" : what.substr(quote + 1, what.rfind('\'') - quote - 1);
  return not_json(json, without_strings(json).find(number),
                  number + " is too large for a JSON number");
}

/// nlohmann's words without its numbers: "unexpected '}'; expected string literal".
std::string reason_of(std::string what) {
  if (const std::size_t dash = what.find(" - "); dash != std::string::npos) what.erase(0, dash + 3);
  if (const std::size_t last = what.find("; last read:"); last != std::string::npos) {
    const std::size_t next = what.find("; expected", last);
    what.erase(last, next == std::string::npos ? std::string::npos : next - last);
  }
  return what;
}

std::string type_word(const FieldDescriptor& field) {
  if (field.is_map()) return "map";
  std::string word;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      word = field.message_type()->full_name();
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      word = field.enum_type()->full_name();
      break;
    default:
      word = field.type_name();
  }
  return field.is_repeated() ? "list of " + word : word;
}

const FieldDescriptor* field_of(const Descriptor& type, const std::string& name) {
  if (const auto* field = type.FindFieldByName(name)) return field;
  for (int i = 0; i < type.field_count(); ++i)
    if (type.field(i)->json_name() == name) return type.field(i);
  return nullptr;
}

Status unknown_field(const Descriptor& type, const std::string& name, const std::string& where) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  std::string text = where + name + ": " + type.full_name() + " has no field \"" + name + "\"";
  if (const std::string hint = m3::did_you_mean(name, names); !hint.empty())
    return wrong(text + ", " + hint);
  if (names.empty()) return wrong(text + "; it has none");
  text += "; it has";
  for (int i = 0; i < type.field_count(); ++i)
    text += (i ? ", " : " ") + type.field(i)->name() + " (" + type_word(*type.field(i)) + ")";
  return wrong(text);
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 40 ? text.substr(0, 37) + "..." : text;
}

Status mismatch(const std::string& where, const std::string& expected, const Json& value) {
  return wrong(where + ": expected " + expected + ", found " + shown(value));
}

Status check_message(const Descriptor& type, const Json& json, const std::string& where);

bool is_number_text(const Json& value) {
  return value.is_string() && value.get_ref<const std::string&>().find_first_not_of(
                                  "+-.0123456789eE") == std::string::npos;
}

Status check_enum(const FieldDescriptor& field, const Json& value, const std::string& where) {
  if (value.is_number_integer()) return m3::ok;
  const auto& type = *field.enum_type();
  if (value.is_string() && type.FindValueByName(value.get<std::string>())) return m3::ok;
  std::vector<std::string_view> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  if (value.is_string())
    if (const std::string hint = m3::did_you_mean(value.get<std::string>(), names); !hint.empty())
      return wrong(where + ": " + type.full_name() + " has no value " + shown(value) + ", " + hint);
  std::string all;
  for (std::string_view name : names)
    all += (all.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  return mismatch(where, "one of " + all, value);
}

/// Whether a value is of the field's kind; protobuf checks the ranges.
Status check_one(const FieldDescriptor& field, const Json& value, const std::string& where) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return check_message(*field.message_type(), value, where + ".");
    case FieldDescriptor::CPPTYPE_ENUM:
      return check_enum(field, value, where);
    case FieldDescriptor::CPPTYPE_STRING:
      if (value.is_string()) return m3::ok;
      return mismatch(
          where, field.type() == FieldDescriptor::TYPE_BYTES ? "a string of base64" : "a string",
          value);
    case FieldDescriptor::CPPTYPE_BOOL:
      return value.is_boolean() ? m3::ok : mismatch(where, "true or false", value);
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return value.is_number() || value.is_string() ? m3::ok : mismatch(where, "a number", value);
    default:
      return value.is_number() || is_number_text(value) ? m3::ok
                                                        : mismatch(where, "a whole number", value);
  }
}

Status check_list(const FieldDescriptor& field, const Json& value, const std::string& where) {
  if (!value.is_array()) return mismatch(where, "a list [...]", value);
  for (std::size_t i = 0; i < value.size(); ++i)
    if (Status status = check_one(field, value[i], where + "[" + std::to_string(i) + "]"); !status)
      return status;
  return m3::ok;
}

Status check_map(const FieldDescriptor& field, const Json& value, const std::string& where) {
  if (!value.is_object()) return mismatch(where, "an object {...}", value);
  const FieldDescriptor& values = *field.message_type()->FindFieldByName("value");
  for (const auto& [key, one] : value.items())
    if (Status status = check_one(values, one, where + "[\"" + key + "\"]"); !status) return status;
  return m3::ok;
}

/// `where`: the path to the message, "" or with a dot at its end.
Status check_message(const Descriptor& type, const Json& json, const std::string& where) {
  if (type.file()->package() == "google.protobuf")
    return m3::ok;  // Timestamp and so on: they have their own JSON
  if (!json.is_object())
    return mismatch(where.empty() ? "the request" : where.substr(0, where.size() - 1),
                    "an object {...}", json);
  for (const auto& [name, value] : json.items()) {
    const FieldDescriptor* field = field_of(type, name);
    if (field == nullptr) return unknown_field(type, name, where);
    if (value.is_null()) continue;
    const std::string here = where + name;
    Status status = field->is_map()        ? check_map(*field, value, here)
                    : field->is_repeated() ? check_list(*field, value, here)
                                           : check_one(*field, value, here);
    if (!status) return status;
  }
  return m3::ok;
}

bool is_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

/// The path to a string that is not UTF-8, which proto2 allows; empty: there is none.
std::string not_utf8_in(const Message& message, const std::string& where) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool is_text = field->type() == FieldDescriptor::TYPE_STRING;
    if (!is_text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const bool many = field->is_repeated();
    for (int i = 0; i < (many ? reflection.FieldSize(message, field) : 1); ++i) {
      std::string here = where + field->name() + (many ? "[" + std::to_string(i) + "]" : "");
      if (is_text) {
        if (!is_utf8(many ? reflection.GetRepeatedString(message, field, i)
                          : reflection.GetString(message, field)))
          return here;
        continue;
      }
      const Message& one = many ? reflection.GetRepeatedMessage(message, field, i)
                                : reflection.GetMessage(message, field);
      if (std::string found = not_utf8_in(one, here + "."); !found.empty()) return found;
    }
  }
  return "";
}

Status cannot_show(const Message& message, const std::string& why) {
  return Status(Errc::data_loss,
                message.GetDescriptor()->full_name() + " cannot be shown as JSON: " + why);
}

std::string example_value(const FieldDescriptor& field, int depth) {
  if (field.is_map()) return "{}";
  if (field.is_repeated()) return "[]";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "\"\"";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "\"" + field.enum_type()->value(0)->name() + "\"";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
    default:
      return "0";
  }
  const Descriptor& type = *field.message_type();
  if (depth > 2 || type.file()->package() == "google.protobuf") return "null";
  std::string out;
  for (int i = 0; i < type.field_count(); ++i)
    out += (i ? ", \"" : "\"") + type.field(i)->name() +
           "\": " + example_value(*type.field(i), depth + 1);
  return "{" + out + "}";
}

}  // namespace

Status read_json(std::string_view json, google::protobuf::Message& message) {
  if (const std::size_t at = too_deep_at(json); at != std::string::npos)
    return not_json(json, at, "nested more than " + std::to_string(kMostNesting) + " deep");
  Json parsed;
  try {
    parsed = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return not_json(json, error.byte == 0 ? 0 : error.byte - 1, reason_of(error.what()));
  } catch (const Json::out_of_range& error) {
    return too_large(json, error.what());
  }
  if (Status status = check_message(*message.GetDescriptor(), parsed, ""); !status) return status;
  auto done = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &message);
  if (!done.ok()) return wrong(std::string(done.message()));
  return m3::ok;
}

m3::Result<std::string> write_json(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  if (const std::string field = not_utf8_in(message, ""); !field.empty())
    return cannot_show(message, field + " is not UTF-8");
  std::string out;
  auto done = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (!done.ok()) return cannot_show(message, std::string(done.message()));
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string example_json(const Descriptor& type) {
  std::string out;
  for (int i = 0; i < type.field_count(); ++i)
    out += (i ? ", " : "") + json_string(type.field(i)->name()) + ": " +
           example_value(*type.field(i), 0);
  return "{" + out + "}";
}

std::string json_string(std::string_view text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace m3ctl
