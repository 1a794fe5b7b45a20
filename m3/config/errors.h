// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "m3/base/status.h"

namespace m3 {

/// One thing that is wrong in a configuration.
struct ConfigError {
  std::string file;
  int line = 0;     ///< 0: no single line
  std::string key;  ///< "router.consul.addresses"; may be empty
  std::string what;

  /// `conf/a.toml:3: listen: expected a string, …`
  std::string to_string() const;
};

/// All errors, so that one run shows all of them.
class ErrorList {
 public:
  void add(ConfigError error) { errors_.push_back(std::move(error)); }
  bool empty() const noexcept { return errors_.empty(); }
  std::size_t size() const noexcept { return errors_.size(); }
  /// In the order of the file's lines.
  std::vector<ConfigError> sorted() const;
  /// One line each, each with a line end.
  std::string to_string() const;
  /// OK when empty; else invalid_argument with to_string() as its text.
  Status to_status() const;

 private:
  std::vector<ConfigError> errors_;
};

}  // namespace m3
