// SPDX-License-Identifier: BSL-1.0
#include "json_line.h"

#include <cstdio>

namespace bench {

void JsonLine::key(std::string_view name) {
  if (!line_.empty()) line_ += ", ";
  line_.append("\"").append(name).append("\": ");
}

JsonLine& JsonLine::text(std::string_view name, std::string_view value) {
  key(name);
  line_.append("\"").append(value).append("\"");
  return *this;
}

JsonLine& JsonLine::number(std::string_view name, double value) {
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  key(name);
  line_ += digits;
  return *this;
}

JsonLine& JsonLine::count(std::string_view name, std::uint64_t value) {
  key(name);
  line_ += std::to_string(value);
  return *this;
}

JsonLine& JsonLine::boolean(std::string_view name, bool value) {
  key(name);
  line_ += value ? "true" : "false";
  return *this;
}

JsonLine& JsonLine::null(std::string_view name) {
  key(name);
  line_ += "null";
  return *this;
}

void JsonLine::print() const {
  std::printf("{%s}\n", line_.c_str());
  std::fflush(stdout);
}

}  // namespace bench
