// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "m3/base/result.h"

namespace m3ctl {

/// When a process started, in the kernel's ticks since boot: with the pid it says which process is
/// meant, also after the pid has been given to another one. 0: there is no such process.
std::uint64_t start_ticks(pid_t pid);

/// A process that is not a child of this one. What it is told reaches it, or nobody.
class ProcessHandle {
 public:
  /// not_found: it has ended. failed_precondition: the kernel (older than 5.3) has no pidfd_open().
  static m3::Result<ProcessHandle> open(pid_t pid, std::uint64_t started);
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&&) = delete;
  ~ProcessHandle();

  /// not_found: it has ended. permission_denied: it is another user's.
  m3::Status signal(int number) const;
  /// Until it ends.
  void wait() const;
  /// False: it still runs after that long.
  [[nodiscard]] bool wait(std::chrono::milliseconds most) const;

 private:
  explicit ProcessHandle(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace m3ctl
