// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/base/status.h"

namespace m3ctl {

/// Whether a new app can have that name, which becomes a package, a namespace, a class, a func, a
/// program, a target of the build and a folder. invalid_argument says what a good name is.
m3::Status check_app_name(const std::string& name);

}  // namespace m3ctl
