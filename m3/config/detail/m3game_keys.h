// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/config/detail/types.h"
#include "m3/config/detail/value.h"

namespace m3::config_detail {

/// When `name` in `section` is one of m3game's keys or holds some (in any case, as m3game read
/// them): reports for each what to write now, and returns true. `decoder` is at the key.
bool answer_m3game_key(const std::string& section, const std::string& name, const Value& value,
                       Decoder& decoder);

}  // namespace m3::config_detail
