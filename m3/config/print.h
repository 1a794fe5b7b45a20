// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "m3/base/status.h"
#include "m3/config/schema.h"

namespace m3 {

namespace config_detail {
std::string print_section(const SchemaBase& schema, std::string_view section, const void* config);
std::string reference_section(const SchemaBase& schema, std::string_view section,
                              std::string_view about);
}  // namespace config_detail

/// The configuration in effect, as TOML that parses to the same values: for --print-config. Secrets
/// are shown as "***"; keys that have their default are marked. `section`: "" for the top of the
/// file (print that first), "router.consul".
template <class T>
std::string print_config(std::string_view section, const T& config) {
  return config_detail::print_section(config_detail::schema_of<T>(), section, &config);
}

/// A file's tree as TOML that parses to the same values; nothing is hidden, strings are unchanged.
std::string print_file(const ConfigValue& table);

/// A table in Markdown of all keys, from their declarations: docs/reference/config.md is generated
/// from these.
template <class T>
std::string config_reference(std::string_view section, std::string_view about) {
  return config_detail::reference_section(config_detail::schema_of<T>(), section, about);
}

/// A key that a reload changes.
struct ConfigChange {
  std::string key;     ///< "router.consul.addresses"
  std::string before;  ///< as TOML; "***" when secret
  std::string after;
  bool reloadable = false;
};

namespace config_detail {
void diff_section(const SchemaBase& schema, std::string_view section, const void* before,
                  const void* after, std::vector<ConfigChange>& out);
}

template <class T>
std::vector<ConfigChange> diff_config(std::string_view section, const T& before, const T& after) {
  std::vector<ConfigChange> out;
  config_detail::diff_section(config_detail::schema_of<T>(), section, &before, &after, out);
  return out;
}

/// OK when every change can be applied while running; else failed_precondition, naming the keys
/// that need a restart.
Status check_reload(const std::vector<ConfigChange>& changes);

}  // namespace m3
