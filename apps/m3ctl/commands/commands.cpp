// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/commands/commands.h"

#include <array>

namespace m3ctl {

std::span<const Command* const> commands() {
  static constexpr auto kAll = std::to_array<const Command*>({
      &kCall,
      &kMethods,
      &kPing,
      &kNew,
      &kUp,
      &kPs,
      &kDown,
      &kLogs,
      &kReload,
      &kRestart,
      &kRoutes,
      &kDrain,
      &kCordon,
      &kUncordon,
      &kToken,
      &kCompletion,
      &kHelp,
  });
  return kAll;
}

}  // namespace m3ctl
