// SPDX-License-Identifier: BSL-1.0
#include "m3/base/snake_case.h"

namespace m3 {
namespace {

// Not <cctype>: the locale must not matter.
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// A word begins at an upper-case letter that follows a lower-case one, or that ends a run of
// capitals ("HTTPInfo").
bool begins_word(std::string_view name, std::size_t i) {
  if (i == 0 || !is_upper(name[i]) || name[i - 1] == '_') return false;
  return is_lower(name[i - 1]) || (i + 1 < name.size() && is_lower(name[i + 1]));
}

}  // namespace

std::string snake_case(std::string_view name) {
  std::string snake;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (begins_word(name, i)) snake += '_';
    snake += to_lower(name[i]);
  }
  return snake;
}

}  // namespace m3
