// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace m3ctl {

/// Reads what was appended to a set of files since the last look.
class LogFollower {
 public:
  using Line = std::function<void(std::size_t file, const std::string& line)>;

  /// `offset`: the bytes of it that are known already.
  void add(std::string path, std::size_t offset = 0) {
    files_.push_back({std::move(path), offset, ""});
  }
  /// Gives every line that is whole; control codes in it are shown as "?".
  void read(const Line& line);

 private:
  struct File {
    std::string path;
    std::size_t offset;
    std::string begun;
  };
  std::vector<File> files_;
};

/// What a program prints may not command the terminal it is shown on: control codes become "?".
std::string printable(std::string line);

/// 0 when there is none yet.
std::size_t log_size(const std::string& path);
/// The last lines behind the first `from` bytes, each behind four blanks; for telling why something
/// died.
std::string log_tail(const std::string& path, std::size_t from, std::size_t lines);

}  // namespace m3ctl
