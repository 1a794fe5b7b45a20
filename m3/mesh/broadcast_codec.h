// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/app_id.h"
#include "m3/base/result.h"

namespace m3 {

/// What a broker carries for m3: who published, the how manieth message of that publisher to that
/// topic it is, and one notify frame. docs/reference/wire.md has the bytes.
struct BroadcastMessage {
  std::string_view publisher;  ///< app id
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;  ///< from 1
  std::string_view frame;
};

std::string encode_broadcast(const BroadcastMessage& message);
/// The views point into `bytes`. invalid_argument: not one of ours.
Result<BroadcastMessage> decode_broadcast(std::string_view bytes);
/// The same, for who knows publishers: whether its name is an app id is not looked at.
Result<BroadcastMessage> read_broadcast(std::string_view bytes);

/// The broker's name of what every instance of a service hears.
std::string broadcast_topic(const ServiceId& service);
/// ... and of a game's own topic in a world. invalid_argument: the name is none.
Result<std::string> multicast_topic(const WorldId& world, std::string_view name);

}  // namespace m3
