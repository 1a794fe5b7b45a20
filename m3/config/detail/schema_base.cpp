// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/schema_base.h"

#include <algorithm>
#include <cassert>

#include "m3/base/near_names.h"
#include "m3/config/detail/m3game_keys.h"

namespace m3::config_detail {
namespace {

std::string join(std::span<const std::string_view> names) {
  std::string out;
  for (std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

/// "peers" inside "router.static"; "peers" at the top.
std::string inside(const std::string& outer, std::string_view name) {
  return outer.empty() ? toml_key(name) : outer + "." + toml_key(name);
}

void report_unknown(const std::string& name, const Value& value,
                    const std::vector<std::string_view>& known, Decoder& decoder) {
  Decoder at{decoder.file, decoder.errors, inside(decoder.key, name), value.line};
  if (answer_m3game_key(decoder.key, name, value, at)) return;
  std::string hint = did_you_mean(name, known);
  if (hint.empty())
    hint = known.empty() ? "no keys are allowed here" : "known here: " + join(known);
  at.error(value.line,
           (value.kind == Value::Kind::table ? "unknown section (" : "unknown key (") + hint + ")");
}

bool check_field(const FieldInfo& field, const void* object, const Value* given, Decoder& at) {
  bool good = true;
  for (const auto& check : field.checks) {
    std::string wrong = check(field.at(object));
    if (wrong.empty()) continue;
    good = false;
    if (field.secret) wrong = "its value is not allowed";  // a check's own text may show it
    if (field.secret && !field.allowed.empty()) wrong.append("; allowed: ").append(field.allowed);
    if (!given) wrong.insert(0, "missing: ");
    if (!field.doc.empty()) wrong += " (" + field.doc + ")";
    at.error(at.line, wrong);
  }
  return good;
}

bool decode_field(const FieldInfo& field, const Value& table, void* object, Decoder& decoder) {
  const Value* given = table.find(field.name);
  Decoder at{decoder.file,
             decoder.errors,
             inside(decoder.key, field.name),
             given ? given->line : table.line,
             decoder.secret || field.secret,
             field.allowed};
  if (given && given->reported) return false;
  if (given) {
    if (!field.ops->decode(*given, field.reach(object), at)) return false;
  } else if (field.required) {
    at.error(table.line, "missing" + (field.doc.empty() ? "" : ": " + field.doc));
    return false;
  }
  return check_field(field, object, given, at);
}

}  // namespace

void FieldInfo::allow(std::string_view text) {
  if (!allowed.empty()) allowed += "; ";
  allowed += text;
}

FieldInfo& SchemaBase::add_field(std::string name) {
  assert(!find(name) && "a config key is declared twice");
  FieldInfo& field = fields_.emplace_back();
  field.name = std::move(name);
  return field;
}

const FieldInfo* SchemaBase::find(std::string_view name) const {
  for (const FieldInfo& field : fields_)
    if (field.name == name) return &field;
  return nullptr;
}

std::vector<std::string_view> SchemaBase::names() const {
  std::vector<std::string_view> out;
  out.reserve(fields_.size());
  for (const FieldInfo& field : fields_) out.push_back(field.name);
  return out;
}

void add_choices(FieldInfo& info, std::vector<std::string> names) {
  std::string allowed = join(std::vector<std::string_view>(names.begin(), names.end()));
  info.allow(allowed);
  info.checks.push_back([names = std::move(names), allowed](const void* raw) -> std::string {
    const auto& value = *static_cast<const std::string*>(raw);
    if (std::find(names.begin(), names.end(), value) != names.end()) return "";
    std::string hint =
        did_you_mean(value, std::vector<std::string_view>(names.begin(), names.end()));
    return "\"" + value.substr(0, 40) + "\" is not one of " + allowed +
           (hint.empty() ? "" : " (" + hint + ")");
  });
}

std::string one_section(std::string_view key) {
  const std::string name(key);
  return "expected one section, found a list; write [" + name + "] instead of [[" + name + "]]";
}

std::string plain_text(const Value& value) {
  return value.kind == Value::Kind::string ? value.text : to_toml(value);
}

bool decode_table(const Value& table, const SchemaBase& schema, void* out, Decoder& decoder,
                  std::span<const std::string_view> also_known) {
  if (is_table_list(table)) {
    decoder.error(table.line, one_section(decoder.key));
    return false;
  }
  if (table.kind != Value::Kind::table) {
    decoder.mismatch(table, "a table");
    return false;
  }
  bool good = true;
  std::vector<std::string_view> known = schema.names();
  known.insert(known.end(), also_known.begin(), also_known.end());
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    if (std::find(known.begin(), known.end(), table.names[i]) != known.end()) continue;
    good = false;
    report_unknown(table.names[i], table.items[i], known, decoder);
  }
  for (const FieldInfo& field : schema.fields())
    good = decode_field(field, table, out, decoder) && good;
  if (!good) return false;
  for (const auto& check : schema.checks()) {
    Status status = check(out);
    if (status) continue;
    decoder.error(table.line, status.text());
    good = false;
  }
  return good;
}

}  // namespace m3::config_detail
