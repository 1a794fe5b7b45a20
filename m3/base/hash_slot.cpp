// SPDX-License-Identifier: BSL-1.0
#include "m3/base/hash_slot.h"

namespace m3 {
namespace {

/// FNV-1a, 64 bits, then the finalizer of MurmurHash3.
std::uint64_t mixed(std::string_view text) noexcept {
  std::uint64_t hash = 14695981039346656037u;
  for (char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

}  // namespace

std::uint16_t hash_slot(std::string_view key) noexcept {
  return static_cast<std::uint16_t>(mixed(key));
}

std::uint64_t hash_of_id(std::string_view id) noexcept { return mixed(id); }

}  // namespace m3
