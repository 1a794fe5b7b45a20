// SPDX-License-Identifier: BSL-1.0
#include "m3/app/version.h"

namespace m3 {

std::string_view m3_version() noexcept { return M3_VERSION; }  // of meson.build

}  // namespace m3
