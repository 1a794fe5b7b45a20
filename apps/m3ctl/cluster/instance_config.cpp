// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/instance_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

using m3::ConfigValue;
using m3::Errc;
using m3::Status;
using Kind = ConfigValue::Kind;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

bool is_service(std::string_view name) {
  const auto names = enum_names(Service());
  return std::any_of(names.begin(), names.end(), [&](auto& entry) { return entry.first == name; });
}

Status unknown_place(const std::string& name, const Places& places) {
  if (is_service(name))
    return wrong(fmt::format("{{{0}}} is not available: add \"{0}\" to needs", name));
  if (name == "peers") return wrong("{peers} must be a whole item of a list: [\"{peers}\"]");
  std::vector<std::string_view> known{"peers"};
  for (const auto& place : places) known.push_back(place.first);
  std::string text = "there is no {" + name + "}";
  if (const std::string hint = m3::did_you_mean(name, known); !hint.empty()) text += ", " + hint;
  return wrong(text + "; write {{ for a brace");
}

/// Replaces the words in braces in one string.
class Filler {
 public:
  Filler(std::string_view text, const Places& places) : text_(text), places_(places) {}

  m3::Result<std::string> fill() {
    while (at_ < text_.size()) {
      if (starts("${")) {
        copy_to("}");  // for the app: its environment
      } else if (starts("{{")) {
        out_ += '{';
        at_ += 2;
      } else if (text_[at_] == '{') {
        if (Status status = place(); !status) return status;
      } else {
        out_ += text_[at_++];
      }
    }
    return std::move(out_);
  }

 private:
  bool starts(std::string_view mark) const { return text_.substr(at_).starts_with(mark); }
  void copy_to(std::string_view end) {
    const std::size_t last = std::min(text_.find(end, at_), text_.size() - 1);
    out_ += text_.substr(at_, last + 1 - at_);
    at_ = last + 1;
  }
  Status place() {
    const std::size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) return wrong("a { is not closed; write {{ for a brace");
    const std::string name(text_.substr(at_ + 1, end - at_ - 1));
    const auto found = places_.find(name);
    if (found == places_.end()) return unknown_place(name, places_);
    out_ += found->second;
    at_ = end + 1;
    return m3::ok;
  }

  std::string_view text_;
  const Places& places_;
  std::size_t at_ = 0;
  std::string out_;
};

Status fill_value(ConfigValue& value, const Places& places, const std::vector<std::string>& peers) {
  if (value.kind == Kind::string) {
    auto filled = Filler(value.text, places).fill();
    if (!filled.is_ok()) return std::move(filled).status();
    value.text = *std::move(filled);
  }
  std::vector<ConfigValue> items;
  for (ConfigValue& item : value.items) {
    if (value.kind == Kind::array && item.kind == Kind::string && item.text == "{peers}") {
      for (const std::string& peer : peers) items.push_back(ConfigValue::of(peer));
      continue;
    }
    if (Status status = fill_value(item, places, peers); !status) return status;
    items.push_back(std::move(item));
  }
  value.items = std::move(items);
  return m3::ok;
}

/// Keys that `up` itself sets.
Status good_key(const std::string& key) {
  if (key.empty() || key.front() == '.' || key.back() == '.' || key.find("..") != std::string::npos)
    return wrong("\"" + key + "\" is not a key: write it like \"router.consul.addresses\"");
  if (key == "listen") return wrong("the key ports sets where the instances listen");
  if (key == "admin.listen") return wrong("m3ctl up chooses it: m3ctl ps shows it");
  if (key == "id") return wrong("the id consists of env, world, func and the instance's number");
  return m3::ok;
}

Status merge_tables(ConfigValue& into, const ConfigValue& from) {
  for (std::size_t i = 0; i < from.items.size(); ++i) {
    ConfigValue* there = into.find(from.names[i]);
    if (there && there->kind == Kind::table && from.items[i].kind == Kind::table) {
      if (Status status = merge_tables(*there, from.items[i]); !status) return status;
      continue;
    }
    into.remove(from.names[i]);
    into.add(from.names[i], from.items[i]);
  }
  return m3::ok;
}

}  // namespace

ConfigValue load_app_config(const ClusterFile& file, const ClusterFile::App& app,
                            m3::ErrorList& errors) {
  if (app.config.empty()) return ConfigValue::table();
  const std::string path = file.beside(app.config.text);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    const std::string why = error ? ": " + error.message() : "";
    errors.add(
        {file.path, app.config.line, file.key(app, "config"), "there is no file " + path + why});
    return ConfigValue::table();
  }
  const m3::Document document = m3::Document::load(path, errors, nullptr);
  return document.value().kind == Kind::table ? document.value() : ConfigValue::table();
}

std::map<std::string, AnyValue> fill(const ClusterFile& file, const ClusterFile::App& app,
                                     const Places& places, const std::vector<std::string>& peers,
                                     m3::ErrorList& errors) {
  std::map<std::string, AnyValue> out = app.set;
  for (auto& [key, any] : out) {
    Status status = good_key(key);
    if (status) status = fill_value(any.value, places, peers);
    if (!status)
      errors.add({file.path, any.value.line, file.key(app, "set." + key), status.text()});
  }
  return out;
}

Status merge(ConfigValue& into, const std::string& key, const ConfigValue& value) {
  ConfigValue* table = &into;
  std::size_t at = 0;
  for (std::size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', at)) {
    const std::string part = key.substr(at, dot - at);
    if (!table->find(part)) table->add(part, ConfigValue::table());
    table = table->find(part);
    if (table->kind != Kind::table) return wrong("\"" + key.substr(0, dot) + "\" is not a section");
    at = dot + 1;
  }
  ConfigValue one = ConfigValue::table();
  one.add(key.substr(at), value);
  return merge_tables(*table, one);
}

}  // namespace m3ctl
