// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#include "m3/base/status.h"

namespace m3ctl {

/// Prints the page of one command, or of m3ctl itself. invalid_argument: there is no such command.
m3::Status print_help(std::string_view command);

}  // namespace m3ctl
