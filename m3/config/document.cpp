// SPDX-License-Identifier: BSL-1.0
#include "m3/config/document.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "m3/config/detail/environment.h"
#include "m3/config/detail/toml_text.h"

namespace m3 {
namespace {

using config_detail::Decoder;
using config_detail::Value;

constexpr const char* kNoComment = "a comment begins with #, not with //";

/// Kind::none means a file that could not be parsed: missing keys are then not reported as well.
bool is_broken(const Value& root) { return root.kind == Value::Kind::none; }

/// A copy without the text after a "//" outside a string, so that the rest can be checked as well.
std::string without_slash_comments(std::string_view text, const std::vector<std::size_t>& places,
                                   Decoder& decoder) {
  std::string out(text);
  for (std::size_t place : places) {
    auto line =
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(place), '\n') + 1;
    decoder.error(static_cast<int>(line), kNoComment);
    for (std::size_t i = place; i < out.size() && out[i] != '\n'; ++i) out[i] = ' ';
  }
  return out;
}

Value parse_text(std::string_view text, Decoder& decoder) {
  if (text.size() > config_detail::kMaxFileSize) {
    decoder.error(0, "the file is larger than 4 MiB");
    return Value();
  }
  config_detail::TextFacts facts = config_detail::look_at(text);
  if (facts.too_deep_line > 0) {
    decoder.error(facts.too_deep_line,
                  "nested more than " + std::to_string(config_detail::kMaxDepth) + " deep");
    return Value();
  }
  if (facts.slash_comments.size() > 100) facts.slash_comments.resize(100);
  Value root = facts.slash_comments.empty()
                   ? config_detail::parse_toml(text, decoder)
                   : config_detail::parse_toml(
                         without_slash_comments(text, facts.slash_comments, decoder), decoder);
  return root;
}

std::optional<std::string> read_file(const std::string& path, Decoder& decoder) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  std::string text;
  char buffer[8192];
  std::size_t got = 0;
  while (file && text.size() <= config_detail::kMaxFileSize &&
         (got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0)
    text.append(buffer, got);
  if (file && !std::ferror(file.get())) return text;
  decoder.error(0, std::string("cannot be read: ") + std::strerror(errno) +
                       "; name the file with --config FILE");
  return std::nullopt;
}

}  // namespace

std::string Section::path() const {
  if (kind_.empty()) return "";
  return config_detail::toml_key(kind_) +
         (name_.empty() ? "" : "." + config_detail::toml_key(name_));
}

int Section::line() const noexcept { return table_->line; }

void Section::report(ErrorList& errors, std::string what, std::string_view key) const {
  const Value* value = key.empty() ? nullptr : table_->find(key);
  std::string full = path();
  if (!key.empty()) full += (full.empty() ? "" : ".") + config_detail::toml_key(key);
  errors.add({*file_, value ? value->line : table_->line, full, std::move(what)});
}

bool Section::decode_into(const config_detail::SchemaBase& schema, void* out, ErrorList& errors,
                          std::span<const std::string_view> also_known) const {
  if (is_broken(*table_)) return false;
  Decoder decoder{*file_, errors, path()};
  return config_detail::decode_table(*table_, schema, out, decoder, also_known);
}

Status Section::too_wrong(std::size_t errors) const {
  if (is_broken(*table_)) return Status(Errc::invalid_argument, *file_ + " could not be parsed");
  std::string where = kind_.empty() ? "at the top of the file" : "in [" + path() + "]";
  return Status(Errc::invalid_argument,
                std::to_string(errors) + (errors == 1 ? " error " : " errors ") + where);
}

Document::Document()
    : file_(std::make_shared<std::string>()), root_(std::make_shared<Value>(Value::table())) {}

Document Document::parse(std::string_view text, std::string file_name, ErrorList& errors,
                         const Environment& environment) {
  Document out;
  out.file_ = std::make_shared<std::string>(std::move(file_name));
  Decoder decoder{*out.file_, errors};
  auto root = std::make_shared<Value>(parse_text(text, decoder));
  if (environment) config_detail::expand_environment(*root, environment, decoder);
  root->line = 0;
  out.root_ = std::move(root);
  return out;
}

Document Document::load(const std::string& path, ErrorList& errors,
                        const Environment& environment) {
  Decoder decoder{path, errors};
  if (std::optional<std::string> text = read_file(path, decoder))
    return parse(*text, path, errors, environment);
  Document out;
  out.file_ = std::make_shared<std::string>(path);
  out.root_ = std::make_shared<Value>();
  return out;
}

Section Document::make_section(std::string kind, std::string name, const Value* table) const {
  Section out;
  out.kind_ = std::move(kind);
  out.name_ = std::move(name);
  out.file_ = file_;
  out.table_ = table               ? std::shared_ptr<const Value>(root_, table)
               : is_broken(*root_) ? root_
                                   : std::make_shared<Value>(Value::table());
  return out;
}

Section Document::root() const { return make_section("", "", root_.get()); }

bool Document::has(std::string_view name) const { return root_->find(name) != nullptr; }

Section Document::section(std::string_view name, ErrorList& errors) const {
  const Value* found = root_->find(name);
  if (found && found->kind != Value::Kind::table) {
    const std::string key = config_detail::toml_key(name);
    errors.add({*file_, found->line, key,
                is_table_list(*found)
                    ? config_detail::one_section(key)
                    : "expected a section [" + key + "], found " + describe(*found)});
    found = nullptr;
  }
  return make_section(std::string(name), "", found);
}

std::vector<Section> Document::sections(std::string_view kind, ErrorList& errors) const {
  std::vector<Section> out;
  const Value* found = root_->find(kind);
  if (!found) return out;
  std::string key = config_detail::toml_key(kind);
  if (found->kind != Value::Kind::table) {
    errors.add({*file_, found->line, key,
                "expected a section [" + key + ".name], found " +
                    (is_table_list(*found) ? "[[" + key + "]]" : describe(*found))});
    return out;
  }
  for (std::size_t i = 0; i < found->names.size(); ++i) {
    const Value& item = found->items[i];
    const std::string name = key + "." + config_detail::toml_key(found->names[i]);
    if (item.kind == Value::Kind::table) {
      out.push_back(make_section(std::string(kind), found->names[i], &item));
    } else if (is_table_list(item)) {
      errors.add({*file_, item.line, name, config_detail::one_section(name)});
    } else {
      std::string what =
          "not a key of any plugin; put it below [" + key + ".name], where name says which ";
      errors.add({*file_, item.line, name, what.append(key)});
    }
  }
  return out;
}

}  // namespace m3
