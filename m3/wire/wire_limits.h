// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "m3/base/status.h"

namespace m3 {

/// The limits of one connection. Each side sends its own in its hello; both then use
/// effective_limits() of the two.
struct WireLimits {
  /// The greatest value of a frame's length field: 20 + metadata + body.
  std::uint32_t max_frame_bytes = 4u << 20;
  std::uint32_t max_metadata_bytes = 16u << 10;
  /// Requests the acceptor works on at once for this connection.
  std::uint32_t max_calls = 16384;

  friend bool operator==(const WireLimits&, const WireLimits&) = default;
};

inline constexpr std::uint32_t kLeastMaxFrameBytes = 4u << 10;
inline constexpr std::uint32_t kMostMaxFrameBytes = 256u << 20;
inline constexpr std::uint32_t kLeastMaxMetadataBytes = 512;
inline constexpr std::uint32_t kMostMaxMetadataBytes =
    0xffff;  // its field in the header has 16 bits

/// The total size of the hellos up to the dialer's proof, both directions, headers included.
inline constexpr std::uint32_t kStrangerBytes = 4u << 10;
/// All four of them.
inline constexpr std::uint32_t kHandshakeBytes = 256u << 10;
/// From the connect (dialer) or accept (acceptor) to the end of the handshake; the owner of the
/// socket keeps this time.
inline constexpr std::chrono::milliseconds kHandshakeTime{2000};

/// The lesser of each pair; 0 on one side = no wish, the other's value counts; 0 on both = the
/// default above.
WireLimits effective_limits(const WireLimits& mine, const WireLimits& theirs);

/// OK, or invalid_argument naming the field that is out of its range. 0 = no wish, is in range.
Status check_limits(const WireLimits& limits);

}  // namespace m3
