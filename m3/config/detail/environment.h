// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/config/document.h"

namespace m3::config_detail {

/// Replaces ${…} in every string below `value`.
void expand_environment(Value& value, const Environment& environment, Decoder& decoder);

}  // namespace m3::config_detail
