// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace m3ctl {

/// Reads the lines appended to a set of files since the last call.
class LogFollower {
 public:
  using Line = std::function<void(std::size_t file, const std::string& line)>;

  /// `offset`: the bytes that were read already.
  void add(std::string path, std::size_t offset = 0) {
    files_.push_back({std::move(path), offset, ""});
  }
  /// Passes every complete line to the function; control codes are shown as "?".
  void read(const Line& line);

 private:
  struct File {
    std::string path;
    std::size_t offset;
    std::string begun;
  };
  std::vector<File> files_;
};

/// A program's output must not control the terminal where it is shown: control codes become "?".
std::string printable(std::string line);

/// 0 when there is none yet.
std::size_t log_size(const std::string& path);
/// The last lines after the first `from` bytes, each indented by four spaces; to show why a program
/// exited.
std::string log_tail(const std::string& path, std::size_t from, std::size_t lines);

}  // namespace m3ctl
