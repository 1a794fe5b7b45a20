// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "m3/base/result.h"

namespace m3ctl {

/// How a process ended.
struct Exit {
  int code = 0;
  int signal = 0;  ///< that killed it; 0: it exited by itself
  bool clean() const { return code == 0 && signal == 0; }
  /// "exited", "exited with code 3", "was killed by signal 9 (Killed)".
  std::string to_string() const;
};

/// One child process, in its own process group, so that Ctrl-C reaches only m3ctl. The kernel kills
/// it when m3ctl exits. Used on the main thread only; killed by the destructor if still running.
class Process {
 public:
  Process() = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  /// argv[0] is a path. Its output is appended to `log_file`. failed_precondition: it cannot be
  /// started, with the reason.
  static m3::Result<Process> spawn(const std::vector<std::string>& argv,
                                   const std::string& log_file);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  /// The start time for ProcessHandle::open; 0 when none runs.
  std::uint64_t started() const { return pid_ > 0 ? started_ : 0; }
  void signal(int number) const;
  /// How it ended, once, if it has ended since the last call.
  std::optional<Exit> poll();

 private:
  void kill_and_reap();
  pid_t pid_ = 0;
  std::uint64_t started_ = 0;
};

/// Runs a program that ends by itself; its output is in `log_file`. deadline_exceeded: it was
/// killed.
m3::Result<Exit> run_to_end(const std::vector<std::string>& argv, const std::string& log_file,
                            std::chrono::milliseconds most);

/// While it exists, INT, TERM, HUP and CHLD only end wait(). One at a time; created before the
/// first process is spawned.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  /// Sleeps until one arrives or the time is up. True: stop was requested (INT, TERM, HUP).
  bool wait(std::chrono::milliseconds most) const;

 private:
  int descriptor_ = -1;
};

/// The file `program` in $PATH; empty when it is not there.
std::string find_in_path(const std::string& program);
bool is_executable(const std::string& path);

}  // namespace m3ctl
