// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/log_follower.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace m3ctl {
namespace {

constexpr std::size_t kMostTail = 64 << 10;

}  // namespace

std::string printable(std::string line) {
  std::erase(line, '\r');
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = '?';
  return line;
}

void LogFollower::read(const Line& line) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    std::ifstream in(file.path, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(file.offset));
    std::ostringstream fresh;
    if (!in || !(fresh << in.rdbuf())) continue;
    file.offset += fresh.view().size();
    file.begun += fresh.view();
    std::size_t begin = 0;
    for (std::size_t end = file.begun.find('\n'); end != std::string::npos;
         end = file.begun.find('\n', begin)) {
      line(i, printable(file.begun.substr(begin, end - begin)));
      begin = end + 1;
    }
    file.begun.erase(0, begin);
  }
}

std::size_t log_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

std::string log_tail(const std::string& path, std::size_t from, std::size_t lines) {
  std::ifstream in(path, std::ios::binary);
  const std::size_t size = log_size(path);
  in.seekg(static_cast<std::streamoff>(std::max(from, size > kMostTail ? size - kMostTail : 0)));
  std::deque<std::string> last;
  for (std::string line; std::getline(in, line);) {
    last.push_back(printable(std::move(line)));
    if (last.size() > lines) last.pop_front();
  }
  std::string out;
  for (const std::string& line : last) out += "    " + line + "\n";
  return out;
}

}  // namespace m3ctl
