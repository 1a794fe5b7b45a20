// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/base64url.h"

#include <algorithm>
#include <string_view>

namespace m3ctl {

std::string base64url(std::span<const unsigned char> bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k <= count; ++k) out += kAlphabet[group >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace m3ctl
