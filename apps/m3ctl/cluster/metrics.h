// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string_view>

namespace m3ctl {

/// The load of one instance since the last call, from its /metrics.
struct Pace {
  std::optional<double> calls_per_second;  ///< that reached a handler
  std::optional<double> p99_seconds;  ///< of these calls; empty: none, or the app does not measure
                                      ///< it
};

/// Turns the totals of Prometheus text into rates.
class PaceMeter {
 public:
  /// `text`: the answer of /metrics at `now`.
  Pace update(std::string_view text, std::chrono::steady_clock::time_point now);
  /// From now on the answers are from another process.
  void reset() { *this = PaceMeter(); }

 private:
  struct Totals {
    double calls = 0;
    std::map<double, double> buckets;  ///< upper bound in seconds -> calls that were not slower
  };
  static Totals read(std::string_view text);
  static std::optional<double> p99(const Totals& before, const Totals& now);

  std::optional<Totals> last_;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace m3ctl
