// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/plugin/registry.h"

namespace m3 {

/// The plugins of one app, in the order in which they were created: a plugin that a constructor
/// asked its Env for precedes it. Destroyed in reverse. Core 0, or before the cores run.
class PluginSet {
 public:
  struct Slot {
    PluginChoice choice;
    std::unique_ptr<Plugin> plugin;
  };

  PluginSet() = default;
  PluginSet(const PluginSet&) = delete;
  PluginSet& operator=(const PluginSet&) = delete;
  ~PluginSet() { clear(); }

  /// Creates each of them; `env` finds them from now on. failed_precondition: one needs another
  /// that is not chosen, starts later, or needs the first itself; internal: a constructor threw.
  /// The plugins created so far are then kept, for clear().
  Status make(Env& env, std::vector<PluginChoice> choices);
  /// Of the kind, and of that name when it is not empty; null when none is chosen. While a
  /// constructor runs, creates the plugins that it asks for.
  Plugin* find(std::string_view kind, std::string_view name = {});
  /// All of the kind; likewise.
  std::vector<Plugin*> all(std::string_view kind);
  void clear();

  std::vector<Slot>& slots() noexcept { return slots_; }

 private:
  Plugin* made(const PluginType& type) const;
  Plugin& make_one(const PluginChoice& choice);
  Plugin* on_demand(const PluginChoice& choice);
  void refuse_circle(const PluginType& type) const;

  Env* env_ = nullptr;
  std::vector<PluginChoice> choices_;
  std::vector<const PluginType*> making_;  // those whose constructors are running, the outermost
                                           // first
  std::exception_ptr failure_;             // the exception of a constructor
  std::string failed_;                     // whose
  std::vector<Slot> slots_;
};

}  // namespace m3
