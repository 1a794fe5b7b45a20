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
                "\"" + std::string(name) + "\" is none of serving, cordoned, draining");
}

}  // namespace m3
