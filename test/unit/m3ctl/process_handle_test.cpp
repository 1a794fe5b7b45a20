// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/process_handle.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "m3/testing/catch.h"

using m3ctl::ProcessHandle;
using m3ctl::start_ticks;

namespace {

/// A child that waits for a signal.
pid_t make_child() {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGTERM, SIG_DFL);  // not the test's own handler
    while (true) pause();
  }
  return child;
}

}  // namespace

TEST_CASE("m3ctl process handle: the start tells a process from the next one with its pid") {
  const pid_t child = make_child();
  const std::uint64_t started = start_ticks(child);
  CHECK(started >= start_ticks(getpid()));
  CHECK(ProcessHandle::open(child, started - 1).status() == m3::Errc::not_found);
  CHECK(ProcessHandle::open(child, 0).status() == m3::Errc::not_found);
  auto handle = ProcessHandle::open(child, started);
  REQUIRE(handle.is_ok());
  CHECK(handle->signal(0).is_ok());
  CHECK(handle->signal(SIGTERM).is_ok());
  handle->wait();
  int how = 0;
  REQUIRE(waitpid(child, &how, 0) == child);
  CHECK(WTERMSIG(how) == SIGTERM);
  CHECK(handle->signal(SIGTERM) == m3::Errc::not_found);
  CHECK(ProcessHandle::open(child, started).status() == m3::Errc::not_found);
  CHECK(start_ticks(child) == 0);
}

TEST_CASE("m3ctl process handle: there is no process 0 and below") {
  CHECK(start_ticks(0) == 0);
  CHECK(ProcessHandle::open(0, 1).status() == m3::Errc::not_found);
  CHECK(ProcessHandle::open(-1, 1).status() == m3::Errc::not_found);
}
