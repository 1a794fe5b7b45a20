// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string>

#include "apps/m3ctl/command.h"

namespace m3ctl {

/// The completion script of a shell: the commands, their options, and files where an option or a
/// command takes one.
std::string bash_completion(std::span<const Command* const> commands);
std::string zsh_completion(std::span<const Command* const> commands);

}  // namespace m3ctl
