// SPDX-License-Identifier: BSL-1.0
#include "syscalls.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace bench {
namespace {

/// -1 when no tracefs is mounted or we may not read it.
long tracepoint_id() {
  for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    const std::string path = std::string(root) + "/events/raw_syscalls/sys_enter/id";
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) continue;
    long id = -1;
    const int got = std::fscanf(file, "%ld", &id);
    std::fclose(file);
    if (got == 1) return id;
  }
  return -1;
}

std::vector<int> threads_of(int pid) {
  std::vector<int> ids;
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return ids;
  while (const dirent* entry = readdir(dir)) {
    const int id = std::atoi(entry->d_name);
    if (id > 0) ids.push_back(id);
  }
  closedir(dir);
  return ids;
}

}  // namespace

SyscallCounter::SyscallCounter(int pid) {
  const long id = tracepoint_id();
  if (id < 0) return;
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof attr;
  attr.config = static_cast<std::uint64_t>(id);
  for (const int thread : threads_of(pid)) {
    const long fd = syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd >= 0) fds_.push_back(static_cast<int>(fd));
  }
}

SyscallCounter::~SyscallCounter() {
  for (const int fd : fds_) close(fd);
}

std::optional<std::uint64_t> SyscallCounter::now() const {
  if (fds_.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const int fd : fds_) {
    std::uint64_t value = 0;
    if (read(fd, &value, sizeof value) == sizeof value) sum += value;
  }
  return sum;
}

}  // namespace bench
