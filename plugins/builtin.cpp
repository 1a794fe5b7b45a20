// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/builtin.h"

#include "m3/plugin/registry.h"

namespace m3 {

void add_builtin([[maybe_unused]] Registry& registry) {}

}  // namespace m3
