// SPDX-License-Identifier: BSL-1.0
#include "m3/base/table_meta.h"

#include <algorithm>

namespace m3 {

bool is_table_name(std::string_view name) noexcept {
  constexpr std::size_t kLongest = 64;
  if (name.empty() || name.size() > kLongest) return false;
  if (name.front() >= '0' && name.front() <= '9') return false;
  if (name.starts_with("sqlite_")) return false;  // SQLite keeps these to itself
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace m3
