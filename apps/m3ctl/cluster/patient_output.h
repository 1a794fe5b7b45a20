// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace m3ctl {

/// Standard output of a program that must not stop when its reader does: what a terminal or a pipe
/// does not take now waits here. Files take everything at once.
class PatientOutput {
 public:
  PatientOutput();
  ~PatientOutput();  ///< what waits then is gone
  PatientOutput(const PatientOutput&) = delete;
  PatientOutput& operator=(const PatientOutput&) = delete;

  void write(std::string_view text);
  /// Writes what is taken now.
  void flush();
  /// The same, until all is written or the time is up.
  void flush_for(std::chrono::milliseconds most);
  std::size_t waiting() const { return waiting_.size(); }

 private:
  int descriptor_ = -1;  // -1: stdio
  bool gone_ = false;    // nobody will ever read
  std::string waiting_;
};

}  // namespace m3ctl
