// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace m3 {

/// How a call picks its instance or instances. The numbers cross the wire.
enum class RouteMode : std::uint8_t {
  none = 0,       ///< not set: as the .proto says
  random = 1,     ///< any instance
  hash = 2,       ///< consistent by key
  p2p = 3,        ///< the named app
  single = 4,     ///< the lowest instance
  actor = 5,      ///< the owner of the actor
  broadcast = 6,  ///< every instance (notify)
  multicast = 7,  ///< the subscribers of a topic (notify)
};

inline constexpr std::array<std::string_view, 8> kRouteModeNames{
    "none", "random", "hash", "p2p", "single", "actor", "broadcast", "multicast"};

constexpr std::string_view route_mode_name(RouteMode mode) noexcept {
  auto index = static_cast<std::size_t>(mode);
  return index < kRouteModeNames.size() ? kRouteModeNames[index] : "unknown";
}

constexpr std::optional<RouteMode> route_mode_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kRouteModeNames.size(); ++i)
    if (kRouteModeNames[i] == name) return static_cast<RouteMode>(i);
  return std::nullopt;
}

/// `none` for a number this version does not know.
constexpr RouteMode route_mode_from_number(std::uint32_t number) noexcept {
  return number < kRouteModeNames.size() ? static_cast<RouteMode>(number) : RouteMode::none;
}

}  // namespace m3
