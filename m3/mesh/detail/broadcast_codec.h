// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/app_id.h"
#include "m3/base/result.h"

namespace m3::mesh_detail {

/// A message that m3 sends through a broker: its publisher, and one or more notify frames, whose
/// sequence number is that of its first frame, counted per publisher and topic.
/// docs/reference/wire.md has the bytes.
struct BroadcastMessage {
  std::string_view publisher;  ///< should be an app id
  std::uint64_t run_id = 0;    ///< identifies the start of the publisher
  std::uint64_t sequence = 0;  ///< of the first frame, above 0
  std::string_view head;       ///< everything before the proof
  std::string_view proof;      ///< of the publisher's token (BroadcastProofs); may be empty
  std::string_view frames;
  std::uint64_t count = 0;  ///< number of frames; set by reading
};

/// The numbers of a publisher and a topic come in ranges of 2^32: within a range none is skipped,
/// the next range begins anywhere later. A publisher that has forgotten its last number begins a
/// new range.
constexpr bool same_broadcast_row(std::uint64_t a, std::uint64_t b) noexcept {
  return a >> 32 == b >> 32;
}
/// The number before the first one of the range after that of `last`.
constexpr std::uint64_t next_broadcast_row(std::uint64_t last) noexcept {
  return ((last >> 32) + 1) << 32;
}

/// Of a message with that many bytes of frames.
std::size_t broadcast_size(std::string_view publisher, std::size_t frames);
/// Appends everything except the frames. `proof`: the proof, or as many bytes to be filled in
/// later.
void begin_broadcast(std::string& out, std::string_view publisher, std::uint64_t run_id,
                     std::uint64_t sequence, std::string_view proof);
/// Cuts the first frame off `frames`, which are from read_broadcast() and not empty.
std::string_view take_frame(std::string_view& frames) noexcept;

/// The views point into `bytes`. invalid_argument: not a message of m3. Does not check whether the
/// publisher's name is an app id: a receiver of many messages checks that once.
Result<BroadcastMessage> read_broadcast(std::string_view bytes);

/// The broker's topic that every instance of a service receives.
std::string broadcast_topic(const ServiceId& service);
/// ... and of a game's own topic in a world. invalid_argument: the name is not valid.
Result<std::string> multicast_topic(const WorldId& world, std::string_view name);

}  // namespace m3::mesh_detail
