// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/patient_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace m3ctl {
namespace {

bool may_block(int descriptor) {
  struct stat info{};
  return isatty(descriptor) != 0 || (fstat(descriptor, &info) == 0 && S_ISFIFO(info.st_mode));
}

}  // namespace

PatientOutput::PatientOutput() {
  // Opened again: O_NONBLOCK on the old one would also affect the shell.
  if (may_block(STDOUT_FILENO))
    descriptor_ = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

PatientOutput::~PatientOutput() {
  if (descriptor_ >= 0) close(descriptor_);
}

void PatientOutput::write(std::string_view text) {
  if (descriptor_ < 0) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);  // main() checks whether that succeeded
    return;
  }
  if (!gone_) waiting_ += text;
  flush();
}

void PatientOutput::flush() {
  std::size_t done = 0;
  while (done < waiting_.size()) {
    const ssize_t put = ::write(descriptor_, waiting_.data() + done, waiting_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno != EAGAIN) {
      gone_ = true;
      done = waiting_.size();
    }
    if (put < 0) break;
    done += static_cast<std::size_t>(put);
  }
  waiting_.erase(0, done);
}

void PatientOutput::flush_for(std::chrono::milliseconds most) {
  const auto until = std::chrono::steady_clock::now() + most;
  for (flush(); !waiting_.empty(); flush()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    pollfd one{descriptor_, POLLOUT, 0};
    ::poll(&one, 1, static_cast<int>(left.count()));
  }
}

}  // namespace m3ctl
