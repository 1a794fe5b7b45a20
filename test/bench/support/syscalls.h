// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace bench {

/// Counts the system calls of a process with the kernel's raw_syscalls:sys_enter tracepoint (what
/// `perf stat` does). Counting slows every system call a little: use it in a run of its own.
class SyscallCounter {
 public:
  /// Watches all present threads of `pid`. ok() is false without root or without tracefs.
  explicit SyscallCounter(int pid);
  ~SyscallCounter();
  SyscallCounter(const SyscallCounter&) = delete;
  SyscallCounter& operator=(const SyscallCounter&) = delete;

  bool ok() const { return !fds_.empty(); }
  std::optional<std::uint64_t> now() const;

 private:
  std::vector<int> fds_;
};

}  // namespace bench
