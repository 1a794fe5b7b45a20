// SPDX-License-Identifier: BSL-1.0
#include "m3/base/cut_text.h"

namespace m3 {

std::string cut_text(std::string_view text, std::size_t most) {
  std::string out(text_start(text, most));
  if (out.size() < text.size()) out += "… (" + std::to_string(text.size()) + " bytes)";
  return out;
}

}  // namespace m3
