// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// An amount of memory or data: written "64KiB", "1MiB", "512B", "10MB" (KB, MB, GB, TB count in
/// thousands).
struct ByteSize {
  static constexpr std::string_view kTypeName = "size";

  std::uint64_t bytes = 0;

  /// A bare number is refused (only 0 needs no unit). The error's text says what to write.
  static Result<ByteSize> parse(std::string_view text);
  /// With the largest binary unit that divides it: "64KiB", "1500B".
  std::string to_string() const;

  friend auto operator<=>(const ByteSize&, const ByteSize&) noexcept = default;
};

inline namespace literals {
constexpr ByteSize operator""_KiB(unsigned long long count) { return ByteSize{count << 10}; }
constexpr ByteSize operator""_MiB(unsigned long long count) { return ByteSize{count << 20}; }
constexpr ByteSize operator""_GiB(unsigned long long count) { return ByteSize{count << 30}; }
}  // namespace literals

}  // namespace m3
