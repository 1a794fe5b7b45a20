// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bench {

/// m3's 24-byte frame header as it lies on the wire (little-endian hosts only, like the peers).
struct FrameHeader {
  std::uint32_t length = 0;  ///< bytes after this field: 20 + metadata + body
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint16_t metadata_length = 0;
  std::uint32_t method = 0;
  std::uint32_t deadline = 0;
  std::uint64_t call_id = 0;
};
static_assert(sizeof(FrameHeader) == 24);

inline constexpr std::size_t kHeaderBytes = sizeof(FrameHeader);
inline constexpr std::uint32_t kLengthAfterField = 20;
inline constexpr std::size_t kMaxFrameBytes = 256 * 1024;
inline constexpr std::uint8_t kRequest = 2;
inline constexpr std::uint8_t kResponse = 3;

constexpr std::uint32_t fnv1a(std::string_view text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash;
}

inline constexpr std::uint32_t kEchoMethod = fnv1a("/bench.Echo/Echo");

}  // namespace bench
