// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/registry.h"

#include <algorithm>
#include <utility>

#include "m3/base/near_names.h"

namespace m3 {
namespace {

/// Sorts dependencies first, otherwise by stage.
class Sorter {
 public:
  Sorter(std::vector<PluginChoice> choices, const std::vector<Section>& sections, ErrorList& errors)
      : choices_(std::move(choices)),
        sections_(sections),
        errors_(errors),
        marks_(choices_.size(), Mark::fresh) {}

  std::vector<PluginChoice> sorted() {
    std::vector<std::pair<int, std::size_t>> by_stage;
    for (std::size_t i = 0; i < choices_.size(); ++i)
      by_stage.emplace_back(choices_[i].type->stage, i);
    std::sort(by_stage.begin(), by_stage.end());
    for (const auto& [stage, i] : by_stage) visit(i);
    return std::move(out_);
  }

 private:
  enum class Mark { fresh, open, done };

  void visit(std::size_t i) {
    if (marks_[i] == Mark::done) return;
    const PluginType& type = *choices_[i].type;
    path_.push_back(i);
    if (marks_[i] == Mark::open) {
      report_circle();
      path_.pop_back();
      return;
    }
    marks_[i] = Mark::open;
    for (std::string_view kind : type.needs) need(i, kind);
    marks_[i] = Mark::done;
    path_.pop_back();
    out_.push_back(choices_[i]);
  }

  void need(std::size_t i, std::string_view kind) {
    const PluginType& type = *choices_[i].type;
    bool found = false;
    for (std::size_t other = 0; other < choices_.size(); ++other) {
      const PluginType& needed = *choices_[other].type;
      if (needed.kind != kind) continue;
      found = true;
      if (needed.stage > type.stage)
        sections_[i].report(errors_, type.title() + " starts before " + needed.title() +
                                         ", which it needs: their stages are wrong");
      visit(other);
    }
    if (!found)
      sections_[i].report(errors_, type.title() + " needs a " + std::string(kind) +
                                       ": add a section [" + std::string(kind) + ".NAME]");
  }

  void report_circle() {
    const std::size_t again = path_.back();
    const auto begin = std::find(path_.begin(), path_.end(), again);
    std::string text;
    for (auto at = begin; at != path_.end(); ++at)
      text += (text.empty() ? "" : " needs ") + choices_[*at].type->title();
    sections_[again].report(errors_, "a cycle: " + text);
  }

  std::vector<PluginChoice> choices_;
  const std::vector<Section>& sections_;
  ErrorList& errors_;
  std::vector<Mark> marks_;
  std::vector<std::size_t> path_;
  std::vector<PluginChoice> out_;
};

}  // namespace

std::string PluginType::title() const { return std::string(kind) + "." + std::string(name); }

void Registry::add(PluginType type) {
  if (find(type.kind, type.name))
    added_twice_.push_back(type.title());
  else
    types_.push_back(std::make_unique<PluginType>(std::move(type)));
}

const PluginType* Registry::find(std::string_view kind, std::string_view name) const {
  for (const auto& type : types_)
    if (type->kind == kind && type->name == name) return type.get();
  return nullptr;
}

void Registry::set_default(std::string_view kind, std::string_view name,
                           std::string_view beside_default_of) {
  defaults_.push_back({kind, name, beside_default_of});
}

const PluginType* Registry::default_of(std::string_view kind) const {
  for (const Default& one : defaults_)
    if (one.kind == kind) return find(one.kind, one.name);
  return nullptr;
}

std::vector<std::string_view> Registry::kinds() const {
  std::vector<std::string_view> out;
  for (const auto& type : types_)
    if (std::find(out.begin(), out.end(), type->kind) == out.end()) out.push_back(type->kind);
  return out;
}

std::vector<PluginChoice> Registry::choose(const Document& document, ErrorList& errors) const {
  for (const std::string& title : added_twice_)
    errors.add({"", 0, title, "the program lists this plugin twice"});
  std::vector<PluginChoice> choices;
  std::vector<Section> sections;
  std::vector<std::string_view> unnamed;  // kinds without a section
  for (std::string_view kind : kinds()) {
    std::vector<std::string_view> names;
    for (const auto& type : types_)
      if (type->kind == kind) names.push_back(type->name);
    bool chosen = false;
    bool named = false;
    for (Section& section : document.sections(kind, errors)) {
      named = true;
      const PluginType* type = find(kind, section.name());
      if (!type) {
        const std::string near = did_you_mean(section.name(), names);
        section.report(errors, "this program has no such plugin" +
                                   (near.empty() ? "" : "; " + near) +
                                   " (--list-plugins shows the ones it has)");
      } else if (chosen && !type->many) {
        section.report(errors, "a second " + std::string(kind) + ": an app has one of each kind");
      } else if (ConfigType::Value config = type->config->decode(section, errors)) {
        choices.push_back({type, std::move(config)});
        sections.push_back(section);
      }
      chosen = chosen || type;
    }
    if (!named) unnamed.push_back(kind);
  }
  choose_defaults(choices, sections, unnamed);
  return Sorter(std::move(choices), sections, errors).sorted();
}

void Registry::choose_defaults(std::vector<PluginChoice>& choices, std::vector<Section>& sections,
                               const std::vector<std::string_view>& unnamed) const {
  const auto chosen = [&](std::string_view kind) -> const PluginType* {
    for (const PluginChoice& choice : choices)
      if (choice.type->kind == kind) return choice.type;
    return nullptr;
  };
  for (const Default& one : defaults_) {
    if (std::find(unnamed.begin(), unnamed.end(), one.kind) == unnamed.end()) continue;
    if (!one.beside.empty() && chosen(one.beside) != default_of(one.beside)) continue;
    const PluginType* type = find(one.kind, one.name);
    if (!type) continue;
    choices.push_back({type, type->config->defaults()});
    sections.push_back(Document().root());
  }
}

}  // namespace m3
