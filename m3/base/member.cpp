// SPDX-License-Identifier: BSL-1.0
#include "m3/base/member.h"

namespace m3 {

std::string_view member_state_name(MemberState state) noexcept {
  switch (state) {
    case MemberState::cordoned:
      return "cordoned";
    case MemberState::draining:
      return "draining";
    case MemberState::serving:
      break;
  }
  return "serving";
}

Result<MemberState> member_state_from_name(std::string_view name) {
  for (MemberState state : {MemberState::serving, MemberState::cordoned, MemberState::draining})
    if (name == member_state_name(state)) return state;
  return Status(Errc::invalid_argument,
                "\"" + std::string(name) + "\" is not one of serving, cordoned, draining");
}

Result<Member> parse_member(std::string_view text) {
  const std::string title = "peer \"" + std::string(text) + "\"";
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos)
    return Status(Errc::invalid_argument, title + ": write env.world.func.ins@host:port");
  auto id = AppId::parse(text.substr(0, at));
  if (!id.is_ok()) return std::move(id).status().add_context(title);
  auto address = HostPort::parse_remote(text.substr(at + 1));
  if (!address.is_ok()) return std::move(address).status().add_context(title);
  Member member;
  member.id = *std::move(id);
  member.address = *std::move(address);
  return member;
}

}  // namespace m3
