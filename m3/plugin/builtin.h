// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3 {

class Registry;

/// The plugins that are part of m3 and need no listing in main(). Defined in plugins/builtin.cpp.
void add_builtin(Registry& registry);

}  // namespace m3
