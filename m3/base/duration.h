// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// A span of time as configuration and APIs hold it.
using Duration = std::chrono::nanoseconds;

/// "10s", "250ms", "1m30s", "1.5h", "0". Units ns us ms s m h d, larger ones first, each once; no
/// sign, no blanks. A bare number is refused (only 0 needs no unit). The error's text says what to
/// write.
Result<Duration> parse_duration(std::string_view text);

/// The shortest sum of units that parses back to the same value: "1m30s", "1s500ms", "0s".
std::string format_duration(Duration duration);

}  // namespace m3
