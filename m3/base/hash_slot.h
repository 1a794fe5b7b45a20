// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace m3 {

/// Hash routing: a key falls into one of 65,536 slots, and each slot belongs to the instance with
/// the highest score for it (rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings
/// to increase hit rates", 1998). Only ids count, so that a restart moves nothing, and every
/// process, in every language, gives the same answer: docs/reference/routing.md.
inline constexpr std::size_t kHashSlots = 65536;

std::uint16_t hash_slot(std::string_view key) noexcept;
/// The id's part of slot_score(); computed once per id.
std::uint64_t hash_of_id(std::string_view id) noexcept;
/// `slot` belongs to the id with the highest score; on a tie, the id that compares less byte by
/// byte.
constexpr std::uint64_t slot_score(std::uint64_t id_hash, std::uint16_t slot) noexcept {
  std::uint64_t x = id_hash ^ ((slot + std::uint64_t{1}) * 0x9e3779b97f4a7c15u);
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdu;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

}  // namespace m3
