// SPDX-License-Identifier: BSL-1.0
#include "m3/async/detail/cpu_budget.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace m3::async_detail {
namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";

/// Microseconds. nullopt: "max", -1, or not a number.
std::optional<double> positive(std::string_view text) {
  double out = 0;
  text = text.substr(0, text.find_last_not_of(" \n") + 1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out <= 0) return std::nullopt;
  return out;
}

std::optional<double> ratio(std::string_view quota, std::string_view period) {
  const auto above = positive(quota);
  const auto below = positive(period);
  return above && below ? std::optional(*above / *below) : std::nullopt;
}

/// Of cpu.max, "150000 100000".
std::optional<double> quota_v2(const ReadText& read, const std::string& folder) {
  const auto text = read(folder + "/cpu.max");
  if (!text) return std::nullopt;
  const std::size_t blank = text->find(' ');
  if (blank == std::string::npos) return std::nullopt;
  return ratio(std::string_view(*text).substr(0, blank), std::string_view(*text).substr(blank + 1));
}

std::optional<double> quota_v1(const ReadText& read, const std::string& folder) {
  const auto quota = read(folder + "/cpu.cfs_quota_us");
  const auto period = read(folder + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

void take_least(std::optional<double>& least, std::optional<double> quota) {
  if (quota && (!least || *quota < *least)) least = quota;
}

/// Of the group at `path` below `root` and of all around it. A container may see its own group as
/// the root, whatever the path says.
void take_groups(std::optional<double>& least, const ReadText& read, const std::string& root,
                 std::string path,
                 std::optional<double> (*quota)(const ReadText&, const std::string&)) {
  while (!path.empty() && path != "/") {
    take_least(least, quota(read, root + path));
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  take_least(least, quota(read, root));
}

bool has_cpu(const std::string& controllers) {
  std::istringstream words(controllers);
  for (std::string word; std::getline(words, word, ',');)
    if (word == "cpu") return true;
  return false;
}

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

}  // namespace

std::optional<double> cpu_quota(const ReadText& read) {
  std::optional<double> least;
  std::istringstream lines(read("/proc/self/cgroup").value_or(""));  // number:controllers:path
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) take_groups(least, read, kRoot, path, &quota_v2);
    if (!has_cpu(controllers)) continue;
    take_groups(least, read, std::string(kRoot) + "/" + controllers, path, &quota_v1);
    if (controllers != "cpu")
      take_groups(least, read, std::string(kRoot) + "/cpu", path, &quota_v1);
  }
  return least;
}

CpuBudget cpu_budget(unsigned usable, std::optional<double> quota) {
  CpuBudget out;
  out.cores = std::max(usable, 1u);
  out.source = std::to_string(out.cores) + (out.cores == 1 ? " CPU" : " CPUs");
  if (!quota || std::ceil(*quota) >= out.cores) return out;
  out.cores = static_cast<unsigned>(std::max(std::ceil(*quota), 1.0));
  std::ostringstream text;
  text << "quota of " << *quota << " CPUs";
  out.source = text.str();
  return out;
}

CpuBudget own_cpu_budget(unsigned usable) { return cpu_budget(usable, cpu_quota(&read_text)); }

}  // namespace m3::async_detail
