// SPDX-License-Identifier: BSL-1.0
// What an app's /metrics answers: rates that can be shown, whatever it says.
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "apps/m3ctl/cluster/metrics.h"
#include "check.h"

namespace {

void check(const std::optional<double>& value) {
  M3_FUZZ_CHECK(!value || (std::isfinite(*value) && *value >= 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::chrono::steady_clock::time_point begin;
  m3ctl::PaceMeter meter;
  for (int second = 0; second < 3; ++second) {
    // A part first, then all, then a part again: what was counted may also be gone.
    const std::string_view now = second == 1 ? text : text.substr(0, size / 2);
    const m3ctl::Pace pace = meter.update(now, begin + std::chrono::seconds(second));
    M3_FUZZ_CHECK(second > 0 || !pace.calls_per_second);
    check(pace.calls_per_second);
    check(pace.p99_seconds);
  }
  return 0;
}
