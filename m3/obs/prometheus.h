// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string>

#include "m3/obs/metric.h"

namespace m3 {

/// The Prometheus text exposition format, version 0.0.4.
inline constexpr const char* kPrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";
std::string render_prometheus(std::span<const MetricFamily> families);

}  // namespace m3
