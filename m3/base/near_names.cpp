// SPDX-License-Identifier: BSL-1.0
#include "m3/base/near_names.h"

#include <algorithm>
#include <utility>

namespace m3 {
namespace {

constexpr std::size_t kLongest = 128;  // longer words are not typing errors: keeps the cost bounded

std::string folded(std::string_view name) {
  std::string out;
  for (char c : name)
    if (c != '-' && c != '_') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // the row before the last one: for swaps
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::vector<std::string_view> near_names(std::string_view word,
                                         std::span<const std::string_view> names, std::size_t max) {
  std::vector<std::pair<std::size_t, std::string_view>> found;
  if (word.size() > kLongest) return {};
  std::string wanted = folded(word);
  for (std::string_view name : names) {
    if (name.size() > kLongest) continue;
    std::string other = folded(name);
    std::size_t distance = edit_distance(wanted, other);
    std::size_t allowed = std::max<std::size_t>(1, std::max(wanted.size(), other.size()) / 3);
    bool starts = wanted.size() >= 3 && other.starts_with(wanted);
    if (distance <= allowed && distance < other.size())
      found.emplace_back(distance, name);
    else if (starts)
      found.emplace_back(allowed + 1, name);
  }
  std::sort(found.begin(), found.end());  // by distance, then by name
  std::vector<std::string_view> out;
  for (const auto& [distance, name] : found)
    if (out.size() < max && std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  std::vector<std::string_view> near = near_names(word, names);
  if (near.empty()) return "";
  std::string out = "did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) out += i + 1 == near.size() ? " or " : ", ";
    out += "\"" + std::string(near[i]) + "\"";
  }
  return out + "?";
}

}  // namespace m3
