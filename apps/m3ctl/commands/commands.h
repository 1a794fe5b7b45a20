// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

#include "apps/m3ctl/command.h"

namespace m3ctl {

// Each is defined in the file of its name; the commands that set a state are in set_state.cpp.
extern const Command kCall;
extern const Command kMethods;
extern const Command kPing;
extern const Command kNew;
extern const Command kUp;
extern const Command kPs;
extern const Command kDown;
extern const Command kLogs;
extern const Command kReload;
extern const Command kRestart;
extern const Command kRoutes;
extern const Command kDrain;
extern const Command kCordon;
extern const Command kUncordon;
extern const Command kToken;
extern const Command kCompletion;
extern const Command kHelp;

/// All of them, in the order of help.
std::span<const Command* const> commands();

}  // namespace m3ctl
