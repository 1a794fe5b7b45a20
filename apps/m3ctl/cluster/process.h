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
  int signal = 0;  ///< that killed it; 0: it left by itself
  bool clean() const { return code == 0 && signal == 0; }
  /// "exited", "exited with code 3", "was killed by signal 9 (Killed)".
  std::string to_string() const;
};

/// One child process, in a process group of its own, so that Ctrl-C reaches m3ctl alone. The kernel
/// kills it when m3ctl dies. Used on the main thread only; a destroyed one that still runs is
/// killed.
class Process {
 public:
  Process() = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  /// argv[0] is a path. What it prints is appended to `log_file`. failed_precondition: it cannot be
  /// started, and why.
  static m3::Result<Process> spawn(const std::vector<std::string>& argv,
                                   const std::string& log_file);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  /// What ProcessHandle::open wants beside the pid; 0 when none runs.
  std::uint64_t started() const { return pid_ > 0 ? started_ : 0; }
  void signal(int number) const;
  /// How it ended, once, when it has ended since the last look.
  std::optional<Exit> poll();

 private:
  void kill_and_reap();
  pid_t pid_ = 0;
  std::uint64_t started_ = 0;
};

/// A program that ends by itself; what it printed is in `log_file`. deadline_exceeded: it was
/// killed.
m3::Result<Exit> run_to_end(const std::vector<std::string>& argv, const std::string& log_file,
                            std::chrono::milliseconds most);

/// While it lives, INT, TERM, HUP and CHLD do nothing but end wait(). One at a time; made before
/// the first process is spawned.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  /// Sleeps until one comes or the time is up. True: the user wants an end (INT, TERM, HUP).
  bool wait(std::chrono::milliseconds most) const;

 private:
  int descriptor_ = -1;
};

/// The file `program` in $PATH; empty when it is not there.
std::string find_in_path(const std::string& program);
bool is_executable(const std::string& path);

}  // namespace m3ctl
