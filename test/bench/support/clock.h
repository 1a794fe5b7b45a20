// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ctime>

#include <cstdint>

namespace bench {

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  if (clock_gettime(clock, &t) != 0) return 0;
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

inline std::uint64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

/// CPU time of this whole process, all threads.
inline std::uint64_t own_cpu_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

/// CPU time of another process, all threads; 0 when it is gone.
inline std::uint64_t process_cpu_ns(int pid) {
  clockid_t clock = 0;
  return clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}

}  // namespace bench
