// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/process_handle.h"

#include <unistd.h>

#include <csignal>

#include "apps/m3ctl/cluster/process.h"
#include "m3/testing/catch.h"

using m3ctl::ProcessHandle;
using m3ctl::start_ticks;

TEST_CASE("m3ctl process handle: the start tells a process from the next one with its pid") {
  auto child = m3ctl::Process::spawn({"/bin/sleep", "600"}, "/dev/null");
  REQUIRE(child.is_ok());
  const pid_t pid = child->pid();
  const std::uint64_t started = child->started();
  CHECK(started == start_ticks(pid));
  CHECK(started >= start_ticks(getpid()));
  CHECK(ProcessHandle::open(pid, started - 1).status() == m3::Errc::not_found);
  CHECK(ProcessHandle::open(pid, 0).status() == m3::Errc::not_found);
  auto handle = ProcessHandle::open(pid, started);
  REQUIRE(handle.is_ok());
  CHECK(handle->signal(0).is_ok());
  CHECK_FALSE(handle->wait(std::chrono::milliseconds(1)));
  CHECK(handle->signal(SIGTERM).is_ok());
  handle->wait();
  CHECK(handle->wait(std::chrono::milliseconds(0)));
  const auto ended = child->poll();
  REQUIRE(ended);
  CHECK(ended->signal == SIGTERM);
  CHECK(handle->signal(SIGTERM) == m3::Errc::not_found);
  CHECK(ProcessHandle::open(pid, started).status() == m3::Errc::not_found);
  CHECK(start_ticks(pid) == 0);
}

TEST_CASE("m3ctl process handle: there is no process 0 and below") {
  CHECK(start_ticks(0) == 0);
  CHECK(ProcessHandle::open(0, 1).status() == m3::Errc::not_found);
  CHECK(ProcessHandle::open(-1, 1).status() == m3::Errc::not_found);
}
