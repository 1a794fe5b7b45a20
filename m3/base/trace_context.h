// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace m3 {

/// A position in a distributed trace: the W3C traceparent as a value. Nothing here allocates,
/// except to_string().
struct TraceContext {
  static constexpr std::size_t kTextSize = 55;  // "00-<32 hex>-<16 hex>-<2 hex>"
  using Text = std::array<char, kTextSize>;

  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;

  /// Empty when the header is malformed, all zero or of the forbidden version ff: the W3C rule is
  /// then to start a new trace. For later versions, the parts defined by version 00 are read.
  static std::optional<TraceContext> parse(std::string_view traceparent) noexcept;

  /// True if neither id is all zeros.
  bool valid() const noexcept;
  bool sampled() const noexcept { return (flags & 1) != 0; }
  Text text() const noexcept;
  std::array<char, 32> trace_id_text() const noexcept;
  std::array<char, 16> span_id_text() const noexcept;
  std::string to_string() const;

  friend bool operator==(const TraceContext&, const TraceContext&) noexcept = default;
};

}  // namespace m3
