// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/base/host_port.h"

namespace fault {

/// One plain request and what came back, status line and all; empty: nothing came within 5 s.
std::string http(const m3::HostPort& to, const std::string& method, const std::string& path);

}  // namespace fault
