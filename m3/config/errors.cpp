// SPDX-License-Identifier: BSL-1.0
#include "m3/config/errors.h"

#include <algorithm>
#include <tuple>

namespace m3 {

std::string ConfigError::to_string() const {
  std::string out;
  if (!file.empty()) out += file + (line > 0 ? ":" + std::to_string(line) : "") + ": ";
  if (!key.empty()) out += key + ": ";
  return out + what;
}

std::vector<ConfigError> ErrorList::sorted() const {
  std::vector<ConfigError> out = errors_;
  std::sort(out.begin(), out.end(), [](const ConfigError& a, const ConfigError& b) {
    return std::tie(a.file, a.line, a.key, a.what) < std::tie(b.file, b.line, b.key, b.what);
  });
  return out;
}

std::string ErrorList::to_string() const {
  std::string out;
  for (const ConfigError& error : sorted()) out += error.to_string() + "\n";
  return out;
}

Status ErrorList::to_status() const {
  if (empty()) return m3::ok;
  std::string text = to_string();
  text.pop_back();
  return Status(Errc::invalid_argument, text);
}

}  // namespace m3
