// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "m3/app/app.h"
#include "m3/app/command_line.h"
#include "m3/async/channel.h"
#include "m3/async/scope.h"

namespace m3::app_detail {

class SignalWatch;

/// An app as a program: command line, signals, exit code.
class Program {
 public:
  explicit Program(App::Impl& app) : app_(app) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Returns the exit code. `words`: the command line after the program's name.
  int run(const std::vector<std::string>& words, const std::string& name);
  /// As SIGTERM; once. Any thread, at any time.
  void shutdown();

 private:
  void take_shutdowns();
  void refuse_shutdowns();
  void post_shutdown();
  int inspect(const CommandLine& line);
  Status watch_signals(std::optional<SignalWatch>& watch);
  Task<> live();
  Task<> serve();
  void on_signal(int signal);
  void ask_to_stop();
  void wake_up();

  App::Impl& app_;
  std::mutex shutdown_mutex_;
  bool shutdown_asked_ = false;
  bool has_core_ = false;  // core 0 is there, and stays while the mutex is held
  // On core 0, while it exists.
  std::optional<Ctx> work_ctx_;  // start and reload: cancelled by the first signal to stop
  std::optional<Ctx> stop_ctx_;  // stop: cancelled by the second
  std::optional<Scope> scope_;
  std::optional<Channel<int>> wake_;
  int stops_asked_ = 0;
  bool reload_asked_ = false;
};

}  // namespace m3::app_detail
