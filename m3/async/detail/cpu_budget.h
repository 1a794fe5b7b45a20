// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace m3::async_detail {

/// How many cores a runtime has by default, and what decided that.
struct CpuBudget {
  unsigned cores = 1;
  std::string source;  ///< "2 CPUs", "quota of 1.5 CPUs"
};

/// The text of a file; nullopt: it cannot be read.
using ReadText = std::function<std::optional<std::string>(const std::string& path)>;

/// How much CPU time per time the cgroups (version 2 or 1) allow this process, the least of its own
/// and all around it. nullopt: no limit.
std::optional<double> cpu_quota(const ReadText& read);

/// `usable`: the CPUs of the affinity mask, which bound the quota rounded up.
CpuBudget cpu_budget(unsigned usable, std::optional<double> quota);

/// Of this process, now.
CpuBudget own_cpu_budget(unsigned usable);

}  // namespace m3::async_detail
