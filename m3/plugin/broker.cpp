// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/broker.h"

#include "m3/base/app_id.h"

namespace m3 {

bool is_topic(std::string_view topic) noexcept {
  constexpr std::size_t kLongest = 255;
  if (topic.empty() || topic.size() > kLongest) return false;
  char before = '.';
  for (char c : topic) {
    if (c == '.' ? before == '.' : !is_id_part(std::string_view(&c, 1))) return false;
    before = c;
  }
  return before != '.';
}

}  // namespace m3
