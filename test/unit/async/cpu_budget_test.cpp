// SPDX-License-Identifier: BSL-1.0
#include "m3/async/detail/cpu_budget.h"

#include <map>

#include "m3/testing/catch.h"

using m3::async_detail::cpu_budget;
using m3::async_detail::cpu_quota;

namespace {

using Files = std::map<std::string, std::string>;

std::optional<double> quota_of(const Files& files) {
  return cpu_quota([&](const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  });
}

constexpr const char* kOwn = "/proc/self/cgroup";

}  // namespace

TEST_CASE("cpu budget: without a quota there is one core for each CPU of the mask") {
  CHECK_FALSE(quota_of({}));
  CHECK_FALSE(quota_of({{kOwn, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}));
  CHECK_FALSE(quota_of({{kOwn, "1:cpu:/\n"},
                        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                        {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}));
  CHECK(cpu_budget(8, std::nullopt).cores == 8);
  CHECK(cpu_budget(8, std::nullopt).source == "8 CPUs");
  CHECK(cpu_budget(0, std::nullopt).cores == 1);
}

TEST_CASE("cpu budget: version 2 has its quota in cpu.max, the least of all groups around counts") {
  CHECK(quota_of({{kOwn, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}) == 1.5);
  const Files nested{{kOwn, "0::/a.slice/b.scope\n"},
                     {"/sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000\n"},
                     {"/sys/fs/cgroup/a.slice/cpu.max", "50000 100000\n"},
                     {"/sys/fs/cgroup/cpu.max", "400000 100000\n"}};
  CHECK(quota_of(nested) == 0.5);
}

TEST_CASE("cpu budget: a container sees its own group at the root, whatever its path is") {
  CHECK(quota_of({{kOwn, "0::/docker/0123\n"}, {"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}) ==
        2.0);
}

TEST_CASE("cpu budget: version 1 has quota and period in two files") {
  const std::string folder = "/sys/fs/cgroup/cpu,cpuacct/docker/0123";
  CHECK(quota_of({{kOwn, "5:memory:/x\n4:cpu,cpuacct:/docker/0123\n0::/\n"},
                  {folder + "/cpu.cfs_quota_us", "250000\n"},
                  {folder + "/cpu.cfs_period_us", "100000\n"}}) == 2.5);
  CHECK(quota_of({{kOwn, "4:cpu,cpuacct:/docker/0123\n"},
                  {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
                  {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n"}}) == 2.0);
  CHECK_FALSE(quota_of({{kOwn, "4:cpuset:/\n"},
                        {"/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "250000\n"},
                        {"/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n"}}));
}

TEST_CASE("cpu budget: texts that are not a quota are none") {
  for (const char* text : {"", "max", "x 1", "100000", "100000 0", "-5 100000", "100000 100000 1"})
    CHECK_FALSE(quota_of({{kOwn, "0::/\n"}, {"/sys/fs/cgroup/cpu.max", text}}));
  CHECK_FALSE(quota_of({{kOwn, "nonsense\n::\n:\n0::\n"}}));
}

TEST_CASE("cpu budget: a quota is rounded up, and bounded by the mask") {
  CHECK(cpu_budget(8, 1.5).cores == 2);
  CHECK(cpu_budget(8, 1.5).source == "quota of 1.5 CPUs");
  CHECK(cpu_budget(8, 2.0).cores == 2);
  CHECK(cpu_budget(8, 0.1).cores == 1);
  CHECK(cpu_budget(2, 64.0).cores == 2);
  CHECK(cpu_budget(2, 64.0).source == "2 CPUs");
  CHECK(cpu_budget(2, 1.5).source == "2 CPUs");
}
