// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace m3ctl {

/// Standard output of a program that must not stop when its reader does: output that a terminal or
/// a pipe does not accept now is buffered here. Files accept everything at once.
class PatientOutput {
 public:
  PatientOutput();
  ~PatientOutput();  ///< buffered output is then lost
  PatientOutput(const PatientOutput&) = delete;
  PatientOutput& operator=(const PatientOutput&) = delete;

  void write(std::string_view text);
  /// Writes as much as is accepted now.
  void flush();
  /// The same, until everything is written or the time is up.
  void flush_for(std::chrono::milliseconds most);
  std::size_t waiting() const { return waiting_.size(); }

 private:
  int descriptor_ = -1;  // -1: stdio
  bool gone_ = false;    // the reader is gone
  std::string waiting_;
};

}  // namespace m3ctl
