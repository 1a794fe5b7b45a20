// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "m3/config/document.h"

namespace config_test {

/// A document out of `text`, called a.toml, in an environment of its own.
inline m3::Document parse(std::string_view text, m3::ErrorList& errors,
                          const std::map<std::string, std::string, std::less<>>& environment = {}) {
  return m3::Document::parse(
      text, "a.toml", errors, [environment](std::string_view name) -> std::optional<std::string> {
        auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
      });
}

/// What is wrong with `text` read as the top of a file into T; "" when nothing is.
template <class T>
std::string errors_of(std::string_view text,
                      const std::map<std::string, std::string, std::less<>>& environment = {}) {
  m3::ErrorList errors;
  auto config = parse(text, errors, environment).root().decode<T>(errors);
  if (config.is_ok() && !errors.empty()) return "decoded in spite of: " + errors.to_string();
  if (!config && errors.empty()) return "failed without an error";
  return errors.to_string();
}

}  // namespace config_test
