// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/app_id.h"
#include "m3/base/host_port.h"
#include "m3/base/result.h"

namespace m3 {

/// Which calls an instance accepts. The names are those of the registries.
enum class MemberState : std::uint8_t {
  serving,
  cordoned,  ///< no new calls except those that name it (P2P)
  draining,  ///< about to leave: no new calls
};
std::string_view member_state_name(MemberState state) noexcept;
/// invalid_argument names the states.
Result<MemberState> member_state_from_name(std::string_view name);

/// One instance, as it is announced and as others find it.
struct Member {
  static constexpr std::uint32_t kMostWeight = 1'000'000;  ///< the largest weight that an app may
                                                           ///< have

  AppId id;
  std::uint64_t generation = 0;  ///< nanoseconds since 1970 when it started; 0 = not known
  std::uint64_t run = 0;  ///< random, another one at each start, never ordered; 0 = not known
  HostPort address;
  std::uint16_t admin_port = 0;  ///< 0 = none
  std::uint32_t weight = 100;    ///< its share of random calls, relative to the others; 0 = none
  MemberState state = MemberState::serving;
  bool healthy = true;  ///< false: its registry's check fails, or cannot reach it
  std::string version;
  std::string lane;
  std::string placement;

  friend bool operator==(const Member&, const Member&) = default;
};

/// "env.world.func.ins@host:port", as in lists of peers.
Result<Member> parse_member(std::string_view text);

/// Whether both are the same start of one app, judged by the numbers that both have.
inline bool same_start(const Member& a, const Member& b) noexcept {
  return a.id == b.id && a.generation == b.generation &&
         (a.run == b.run || a.run == 0 || b.run == 0);
}

}  // namespace m3
