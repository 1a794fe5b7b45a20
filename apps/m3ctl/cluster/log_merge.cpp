// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/log_merge.h"

#include <algorithm>
#include <fstream>
#include <string_view>

namespace m3ctl {
namespace {

constexpr std::string_view kPattern = "dddd-dd-ddTdd:dd:dd";  // d: a digit

/// "2026-11-30T20:08:23.727785Z" of such a line; as text it sorts by time.
std::string_view time_of(std::string_view line) {
  if (line.size() < kPattern.size()) return {};
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const bool digit = line[i] >= '0' && line[i] <= '9';
    if (kPattern[i] == 'd' ? !digit : line[i] != kPattern[i]) return {};
  }
  return line.substr(0, line.find(' '));
}

/// A file and the line of it that comes next.
struct Reader {
  explicit Reader(const std::string& path) : in(path, std::ios::binary) { next(); }

  void next() {
    more = static_cast<bool>(std::getline(in, line));
    if (!more) return;
    if (!in.eof()) whole += line.size() + 1;
    if (const std::string_view seen = time_of(line); !seen.empty()) time = seen;
  }

  std::ifstream in;
  std::string line;
  std::string time;
  std::size_t whole = 0;  ///< bytes of whole lines that were read
  bool more = false;
};

}  // namespace

std::vector<std::size_t> merge_logs(const std::vector<std::string>& files,
                                    const LogFollower::Line& line) {
  std::vector<Reader> readers;
  readers.reserve(files.size());
  for (const std::string& file : files) readers.emplace_back(file);
  const auto sooner = [](const Reader& a, const Reader& b) {
    return a.more != b.more ? a.more : a.time < b.time;
  };
  while (!readers.empty()) {
    const auto first = std::min_element(readers.begin(), readers.end(), sooner);
    if (!first->more) break;
    line(static_cast<std::size_t>(first - readers.begin()), printable(first->line));
    first->next();
  }
  std::vector<std::size_t> out;
  out.reserve(readers.size());
  for (const Reader& reader : readers) out.push_back(reader.whole);
  return out;
}

}  // namespace m3ctl
