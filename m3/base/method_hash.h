// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>

namespace m3 {

/// The number of a method on the wire: FNV-1a, 32 bits, of its full name "/pkg.Service/Method".
constexpr std::uint32_t method_hash(std::string_view full_name) noexcept {
  std::uint32_t hash = 2166136261U;
  for (char c : full_name) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 16777619U;
  }
  return hash;
}

}  // namespace m3
