// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/base/status.h"

namespace m3ctl {

/// Whether a new app can have that name, which is used for a package, a namespace, a class, a func,
/// a program, a build target and a folder. invalid_argument describes a good name.
m3::Status check_app_name(const std::string& name);

}  // namespace m3ctl
