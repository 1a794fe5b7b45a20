// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/plugin_set.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace m3 {

Status PluginSet::make(Env& env, std::vector<PluginChoice> choices) {
  env_ = &env;
  choices_ = std::move(choices);
  Status outcome;
  try {
    for (const PluginChoice& choice : choices_)
      if (!find(choice.type->kind)) make_one(choice);  // asked for by one before
  } catch (const PluginError& e) {
    outcome = Status(Errc::failed_precondition, making_.back()->title() + " " + e.what());
  } catch (const std::exception& e) {
    outcome = Status(Errc::internal, "the constructor of the plugin " + making_.back()->title() +
                                         " threw: " + e.what());
  }
  making_.clear();
  return outcome;
}

Plugin& PluginSet::make_one(const PluginChoice& choice) {
  making_.push_back(choice.type);
  std::unique_ptr<Plugin> made = choice.type->make(*env_, choice.config);
  making_.pop_back();
  slots_.push_back({choice, std::move(made)});
  return *slots_.back().plugin;
}

Plugin* PluginSet::find(std::string_view kind) {
  for (const Slot& slot : slots_)
    if (slot.choice.type->kind == kind) return slot.plugin.get();
  if (making_.empty()) return nullptr;
  const auto choice = std::find_if(choices_.begin(), choices_.end(),
                                   [&](const PluginChoice& one) { return one.type->kind == kind; });
  if (choice == choices_.end()) return nullptr;
  refuse_circle(kind);
  if (choice->type->stage > making_.back()->stage)
    throw PluginError("starts before " + choice->type->title() +
                      ", which it needs: their stages are wrong");
  return &make_one(*choice);
}

void PluginSet::refuse_circle(std::string_view kind) const {
  const auto first = std::find_if(making_.begin(), making_.end(),
                                  [&](const PluginType* type) { return type->kind == kind; });
  if (first == making_.end()) return;
  std::string way;
  for (auto at = first; at != making_.end(); ++at) way += (*at)->title() + " needs ";
  throw PluginError("is part of a circle: " + way + (*first)->title());
}

void PluginSet::clear() {
  while (!slots_.empty()) slots_.pop_back();
}

}  // namespace m3
