// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

namespace m3 {

/// Of m3 itself, "0.1.0".
std::string_view m3_version() noexcept;

}  // namespace m3
