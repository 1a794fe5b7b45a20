// SPDX-License-Identifier: BSL-1.0
#include "support/process_facts.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace fault {

std::int64_t monotonic_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::uint64_t open_files() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  // Without the one that looks.
  return error ? 0 : static_cast<std::uint64_t>(std::distance(begin(files), end(files))) - 1;
}

std::uint64_t resident_bytes() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t metric_value(m3::MetricRegistry& metrics, std::string_view name) {
  double sum = 0;
  for (const m3::MetricFamily& family : metrics.collect())
    if (family.name == name)
      for (const m3::MetricSeries& series : family.series) sum += series.value;
  return static_cast<std::uint64_t>(sum);
}

}  // namespace fault
