// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "m3/base/result.h"

namespace m3ctl {

/// When a process started, in the kernel's ticks since boot: together with the pid it identifies
/// the process, even after the pid was reused. 0: there is no such process.
std::uint64_t start_ticks(pid_t pid);

/// A process that is not a child of this one. Signals reach it, or no process.
class ProcessHandle {
 public:
  /// not_found: it has ended. failed_precondition: the kernel (older than 5.3) has no pidfd_open().
  static m3::Result<ProcessHandle> open(pid_t pid, std::uint64_t started);
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&&) = delete;
  ~ProcessHandle();

  /// not_found: it has ended. permission_denied: it is another user's.
  m3::Status signal(int number) const;
  /// Waits until it ends.
  void wait() const;
  /// False: it is still running after that time.
  [[nodiscard]] bool wait(std::chrono::milliseconds most) const;

 private:
  explicit ProcessHandle(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace m3ctl
