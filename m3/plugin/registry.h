// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/config/document.h"
#include "m3/plugin/config_type.h"
#include "m3/plugin/plugin.h"

namespace m3 {

/// One plugin that a program contains, without its type.
struct PluginType {
  std::string_view kind;
  std::string_view name;
  int stage = 0;
  bool many = false;                    ///< an app may have several of the kind
  std::vector<std::string_view> needs;  ///< kinds
  const ConfigType* config = nullptr;
  std::unique_ptr<Plugin> (*make)(Env& env, const ConfigType::Value& config) = nullptr;
  /// Null: a change of its configuration needs a restart.
  Task<> (*reload)(Plugin& plugin, Ctx& ctx, const ConfigType::Value& config) = nullptr;

  std::string title() const;  ///< "lease.redis"
};

/// A plugin that a configuration chose, with the contents of its section.
struct PluginChoice {
  const PluginType* type = nullptr;
  ConfigType::Value config;
};

/// The plugins that a program contains: listed in main(), never registered by themselves. Filled
/// before the app starts, then only read.
class Registry {
 public:
  template <std::derived_from<Plugin> P>
  void add() {
    using Config = typename P::Config;
    PluginType type;
    type.kind = P::kKind;
    type.name = P::kName;
    type.stage = P::kStage;
    if constexpr (requires { P::kMany; }) type.many = P::kMany;
    if constexpr (requires { P::kNeeds; }) type.needs.assign(P::kNeeds.begin(), P::kNeeds.end());
    type.config = &config_type<Config>();
    type.make = [](Env& env, const ConfigType::Value& config) -> std::unique_ptr<Plugin> {
      return std::make_unique<P>(env, *static_cast<const Config*>(config.get()));
    };
    if constexpr (requires(P& p, Ctx& ctx, Config c) { p.reload(ctx, c); })
      type.reload = [](Plugin& plugin, Ctx& ctx, const ConfigType::Value& config) {
        return static_cast<P&>(plugin).reload(ctx, *static_cast<const Config*>(config.get()));
      };
    add(std::move(type));
  }
  void add(PluginType type);
  /// The default for a file without a section [kind.…], as if it had an empty [kind.name]; with
  /// `beside_default_of` (a kind with a default) only when the file leaves that kind at its
  /// default, too.
  void set_default(std::string_view kind, std::string_view name,
                   std::string_view beside_default_of = {});

  /// The plugins whose sections are in the file, in the order in which they are created and
  /// started: by stage, then dependencies first. Unknown names, a second one of a kind that is not
  /// kMany, unmet needs and cycles are added to `errors`.
  std::vector<PluginChoice> choose(const Document& document, ErrorList& errors) const;

  /// Each once; a configuration may have sections of them.
  std::vector<std::string_view> kinds() const;
  const std::vector<std::unique_ptr<PluginType>>& types() const { return types_; }

 private:
  struct Default {
    std::string_view kind, name, beside;
  };
  const PluginType* find(std::string_view kind, std::string_view name) const;
  const PluginType* default_of(std::string_view kind) const;
  void choose_defaults(std::vector<PluginChoice>& choices, std::vector<Section>& sections,
                       const std::vector<std::string_view>& unnamed) const;

  std::vector<Default> defaults_;
  std::vector<std::unique_ptr<PluginType>> types_;
  std::vector<std::string> added_twice_;
};

}  // namespace m3
