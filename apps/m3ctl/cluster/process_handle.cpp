// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/process_handle.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

constexpr int kStartTimeField = 22;  // of /proc/PID/stat, from 1

// glibc's own <sys/pidfd.h> does not link from C++ before 2.37.
int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

Status has_ended(pid_t pid) {
  return Status(Errc::not_found, fmt::format("the process {} has ended", pid));
}

}  // namespace

std::uint64_t start_ticks(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(')');  // of field 2, which may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 2; i < kStartTimeField && fields; ++i) fields >> field;
  return fields ? std::strtoull(field.c_str(), nullptr, 10) : 0;
}

Result<ProcessHandle> ProcessHandle::open(pid_t pid, std::uint64_t started) {
  const int descriptor = pid > 0 ? open_pidfd(pid) : -1;
  if (descriptor < 0 && pid > 0 && errno != ESRCH)
    return Status(Errc::failed_precondition, fmt::format("pidfd_open: {}", std::strerror(errno)));
  if (descriptor < 0) return has_ended(pid);
  ProcessHandle out(descriptor);
  // Read after it was opened: if the pid is still that process's, so it was then.
  if (started == 0 || start_ticks(pid) != started) return has_ended(pid);
  return out;
}

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

ProcessHandle::~ProcessHandle() {
  if (descriptor_ >= 0) close(descriptor_);
}

Status ProcessHandle::signal(int number) const {
  if (syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0) == 0) return m3::ok;
  if (errno == ESRCH) return Status(Errc::not_found, "the process has ended");
  return Status(Errc::permission_denied, std::strerror(errno));
}

void ProcessHandle::wait() const {
  pollfd one{descriptor_, POLLIN, 0};
  while (::poll(&one, 1, -1) < 0 && errno == EINTR) continue;
}

bool ProcessHandle::wait(std::chrono::milliseconds most) const {
  const auto until = std::chrono::steady_clock::now() + most;
  pollfd one{descriptor_, POLLIN, 0};
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace m3ctl
