// SPDX-License-Identifier: BSL-1.0
#include "m3/app/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace m3 {
namespace {

bool is_closed(int descriptor) { return ::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF; }

/// open() takes the lowest number that is free, and the lower ones are open already.
void open_standard_descriptors() {
  for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; ++wanted) {
    if (!is_closed(wanted)) continue;
    if (::open("/dev/null", O_RDWR) < 0) (void)::open("/", O_RDONLY);  // it only holds the place
  }
}

void ignore_broken_pipes() {
  struct sigaction now{};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
    (void)std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

void prepare_process() noexcept {
  open_standard_descriptors();
  ignore_broken_pipes();
}

}  // namespace m3
