// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/plugin_set.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace m3 {

Status PluginSet::make(Env& env, std::vector<PluginChoice> choices) {
  env_ = &env;
  env.set_ = this;
  choices_ = std::move(choices);
  Status outcome;
  try {
    for (const PluginChoice& choice : choices_)
      if (!made(*choice.type)) make_one(choice);  // else created on demand by a previous one
  } catch (const PluginError& e) {
    outcome = Status(Errc::failed_precondition, failed_ + " " + e.what());
  } catch (const std::exception& e) {
    outcome =
        Status(Errc::internal, "the constructor of the plugin " + failed_ + " threw: " + e.what());
  }
  failure_ = nullptr;
  return outcome;
}

Plugin* PluginSet::made(const PluginType& type) const {
  for (const Slot& slot : slots_)
    if (slot.choice.type == &type) return slot.plugin.get();
  return nullptr;
}

Plugin& PluginSet::make_one(const PluginChoice& choice) {
  making_.push_back(choice.type);
  std::unique_ptr<Plugin> plugin;
  try {
    plugin = choice.type->make(*env_, choice.config);
  } catch (...) {
    // The plugin whose constructor failed: the innermost, until the one that asked for it throws a
    // different error.
    if (std::current_exception() != failure_) {
      failure_ = std::current_exception();
      failed_ = choice.type->title();
    }
    making_.pop_back();
    throw;
  }
  making_.pop_back();
  slots_.push_back({choice, std::move(plugin)});
  return *slots_.back().plugin;
}

/// Null: it is not created, and no constructor is running that could ask for it.
Plugin* PluginSet::on_demand(const PluginChoice& choice) {
  if (Plugin* plugin = made(*choice.type)) return plugin;
  if (making_.empty()) return nullptr;
  refuse_circle(*choice.type);
  if (choice.type->stage > making_.back()->stage)
    throw PluginError("starts before " + choice.type->title() +
                      ", which it needs: their stages are wrong");
  return &make_one(choice);
}

Plugin* PluginSet::find(std::string_view kind, std::string_view name) {
  for (const PluginChoice& choice : choices_)
    if (choice.type->kind == kind && (name.empty() || choice.type->name == name))
      return on_demand(choice);
  return nullptr;
}

std::vector<Plugin*> PluginSet::all(std::string_view kind) {
  std::vector<Plugin*> out;
  for (const PluginChoice& choice : choices_)
    if (choice.type->kind == kind)
      if (Plugin* plugin = on_demand(choice)) out.push_back(plugin);
  return out;
}

void PluginSet::refuse_circle(const PluginType& type) const {
  const auto first = std::find(making_.begin(), making_.end(), &type);
  if (first == making_.end()) return;
  std::string way;
  for (auto at = first; at != making_.end(); ++at) way += (*at)->title() + " needs ";
  throw PluginError("is part of a cycle: " + way + (*first)->title());
}

Plugin* Env::find_plugin(std::string_view kind, std::string_view name) const {
  return set_ ? set_->find(kind, name) : nullptr;
}

std::vector<Plugin*> Env::all_plugins(std::string_view kind) const {
  return set_ ? set_->all(kind) : std::vector<Plugin*>();
}

void PluginSet::clear() {
  while (!slots_.empty()) slots_.pop_back();
  choices_.clear();
}

}  // namespace m3
