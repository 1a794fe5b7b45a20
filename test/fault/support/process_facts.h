// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>

#include "m3/obs/metric.h"

namespace fault {

/// CLOCK_MONOTONIC: what std::chrono::steady_clock reads, in every process of this machine.
std::int64_t monotonic_ns();
/// Of this process.
std::uint64_t open_files();
std::uint64_t resident_bytes();
/// Summed over its series; 0: there is none.
std::uint64_t metric_value(m3::MetricRegistry& metrics, std::string_view name);

}  // namespace fault
