// SPDX-License-Identifier: BSL-1.0
#include "m3/config/print.h"

#include <fmt/format.h>

namespace m3 {
namespace config_detail {
namespace {

constexpr const char* kHidden = "\"***\"";

std::string joined(std::string_view outer, std::string_view name) {
  return outer.empty() ? toml_key(name) : std::string(outer) + "." + toml_key(name);
}

/// "${" would be read as a variable.
Value escaped(Value value) {
  for (std::size_t at = 0; (at = value.text.find("${", at)) != std::string::npos; at += 3)
    value.text.insert(at, "$");
  for (Value& item : value.items) item = escaped(std::move(item));
  return value;
}

/// Writes sections; those inside a section come after its plain keys, as TOML wants it.
class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void keys(const SchemaBase& schema, const Value& table, std::string_view section) {
    for (const FieldInfo& field : schema.fields())
      if (!is_section(field)) line(field, *table.find(field.name));
    for (const FieldInfo& field : schema.fields())
      if (is_section(field)) inner(field, *table.find(field.name), joined(section, field.name));
  }

  void header(std::string_view text) {
    if (!out_.empty()) out_ += '\n';
    out_ += fmt::format("{}\n", text);
  }

 private:
  static bool is_section(const FieldInfo& field) {
    return field.ops->schema != nullptr && !field.secret;
  }

  void line(const FieldInfo& field, const Value& value) {
    std::string key = toml_key(field.name);
    if (value.kind == Value::Kind::none) {
      out_ += fmt::format("# {} is not set\n", key);
      return;
    }
    bool is_default = !field.required && same(value, field.initial);
    bool hidden = field.secret && !is_default;
    out_ += fmt::format("{} = {}{}\n", key, hidden ? kHidden : to_toml(escaped(value)),
                        is_default ? "  # default" : "");
  }

  void inner(const FieldInfo& field, const Value& value, const std::string& path) {
    const SchemaBase& schema = *field.ops->schema();
    if (value.kind == Value::Kind::none) return;
    if (field.ops->shape == TypeOps::Shape::structure)
      return section(schema, value, path, "[", "]");
    if (value.items.empty()) {
      out_ += fmt::format("# {} is empty\n", path);
      return;
    }
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      if (field.ops->shape == TypeOps::Shape::list)
        section(schema, value.items[i], path, "[[", "]]");
      else
        section(schema, value.items[i], joined(path, value.names[i]), "[", "]");
    }
  }

  void section(const SchemaBase& schema, const Value& value, const std::string& path,
               const char* open, const char* close) {
    header(open + path + close);
    keys(schema, value, path);
  }

  std::string& out_;
};

/// `|` would end a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string default_cell(const FieldInfo& field) {
  if (field.required) return "**required**";
  if (field.initial.kind == Value::Kind::none) return "not set";
  if (field.ops->schema && field.ops->shape != TypeOps::Shape::structure) return "none";
  return "`" + cell(to_toml(field.initial)) + "`";
}

std::string about_cell(const FieldInfo& field) {
  std::string out = cell(field.doc);
  if (!field.allowed.empty())
    out += (out.empty() ? "" : "; ") + std::string("allowed: ") + cell(field.allowed);
  if (field.secret) out += " (secret)";
  return out;
}

void reference_rows(const SchemaBase& schema, const std::string& prefix, int depth,
                    std::string& out) {
  for (const FieldInfo& field : schema.fields()) {
    std::string key = prefix + toml_key(field.name);
    bool structure = field.ops->shape == TypeOps::Shape::structure;
    if (!structure)
      out +=
          fmt::format("| `{}` | {} | {} | {} | {} |\n", key, field.ops->name(), default_cell(field),
                      field.reloadable ? "yes" : "restart", about_cell(field));
    if (!field.ops->schema || depth > 8) continue;
    const char* step = structure                                  ? "."
                       : field.ops->shape == TypeOps::Shape::list ? "[]."
                                                                  : ".<name>.";
    reference_rows(*field.ops->schema(), key + step, depth + 1, out);
  }
}

void hide_secrets(const SchemaBase& schema, TypeOps::Shape shape, Value& value) {
  if (shape != TypeOps::Shape::structure) {
    for (Value& item : value.items) hide_secrets(schema, TypeOps::Shape::structure, item);
    return;
  }
  for (const FieldInfo& field : schema.fields()) {
    Value* item = value.find(field.name);
    if (item && field.secret) *item = Value::of(std::string("***"));
    if (item && field.ops->schema) hide_secrets(*field.ops->schema(), field.ops->shape, *item);
  }
}

ConfigChange change_of(const FieldInfo& field, std::string key, const Value& before,
                       const Value& after) {
  auto shown = [&](Value value) {
    if (field.secret) return std::string(kHidden);
    if (field.ops->schema) hide_secrets(*field.ops->schema(), field.ops->shape, value);
    return value.kind == Value::Kind::none ? std::string("not set") : to_toml(value);
  };
  return {std::move(key), shown(before), shown(after), field.reloadable};
}

}  // namespace

std::string print_section(const SchemaBase& schema, std::string_view section, const void* config) {
  std::string out;
  Printer printer(out);
  if (!section.empty()) printer.header("[" + std::string(section) + "]");
  printer.keys(schema, encode_struct(schema, config), section);
  return out;
}

std::string reference_section(const SchemaBase& schema, std::string_view section,
                              std::string_view about) {
  std::string out =
      section.empty() ? "## Top of the file\n\n" : fmt::format("## [{}]\n\n", section);
  if (!about.empty()) out += fmt::format("{}\n\n", about);
  if (schema.fields().empty()) return out + "It has no keys.\n";
  out += "| key | type | default | reload | what it is |\n|---|---|---|---|---|\n";
  reference_rows(schema, "", 0, out);
  return out;
}

void diff_section(const SchemaBase& schema, std::string_view section, const void* before,
                  const void* after, std::vector<ConfigChange>& out) {
  for (const FieldInfo& field : schema.fields()) {
    std::string key = joined(section, field.name);
    const void* old_field = field.at(before);
    const void* new_field = field.at(after);
    if (field.ops->structure_members() && !field.secret) {
      diff_section(*field.ops->schema(), key, old_field, new_field, out);
      continue;
    }
    Value old_value = field.ops->encode(old_field);
    Value new_value = field.ops->encode(new_field);
    if (!same(old_value, new_value))
      out.push_back(change_of(field, std::move(key), old_value, new_value));
  }
}

namespace {

void print_table(const Value& table, const std::string& path, std::string& out) {
  for (std::size_t i = 0; i < table.items.size(); ++i)
    if (table.items[i].kind != Value::Kind::table)
      out += fmt::format("{} = {}\n", toml_key(table.names[i]), to_toml(table.items[i]));
  for (std::size_t i = 0; i < table.items.size(); ++i) {
    if (table.items[i].kind != Value::Kind::table) continue;
    const std::string inner = joined(path, table.names[i]);
    out += fmt::format("\n[{}]\n", inner);
    print_table(table.items[i], inner, out);
  }
}

}  // namespace
}  // namespace config_detail

std::string print_file(const ConfigValue& table) {
  std::string out;
  config_detail::print_table(table, "", out);
  return out;
}

Status check_reload(const std::vector<ConfigChange>& changes) {
  std::string text;
  for (const ConfigChange& change : changes)
    if (!change.reloadable)
      text += fmt::format("{}{} ({} -> {})", text.empty() ? "" : ", ", change.key, change.before,
                          change.after);
  if (text.empty()) return m3::ok;
  return Status(Errc::failed_precondition,
                "these keys need a restart: " + text + "; nothing was changed");
}

}  // namespace m3
