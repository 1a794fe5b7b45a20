// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "apps/m3ctl/cluster/entry_state.h"
#include "apps/m3ctl/cluster/log_follower.h"
#include "apps/m3ctl/cluster/plan.h"
#include "apps/m3ctl/cluster/process.h"
#include "apps/m3ctl/cluster/screen.h"

namespace m3ctl {

struct SupervisorOptions {
  bool logs = false;
  m3::Duration run_for{0};  ///< 0: until a signal
  std::string ready_file;   ///< written once, when all are ready; empty: none
  std::string state_file;   ///< written at every change
};

/// Starts a plan's services, then its apps, restarts processes that exit, and stops all in order:
/// the last [[app]] first, the services last. Runs on the thread that calls run(), without other
/// threads.
class Supervisor {
 public:
  Supervisor(ClusterPlan plan, SupervisorOptions options, Screen& screen);

  /// Until INT, TERM, HUP or the end of `run_for`. A second signal kills what is still running.
  /// deadline_exceeded: `run_for` ended before all were ready. internal: some did not stop cleanly.
  /// cancelled: a second signal arrived.
  m3::Status run(const SignalWaiter& signals);
  /// Whether a process exited by itself or had to be killed, so that its log is of interest.
  bool had_trouble() const { return had_trouble_; }

 private:
  using Clock = EntryState::Clock;

  void step(Clock::time_point now);
  void reap(Clock::time_point now);
  void note_restart(EntryState& entry, Clock::time_point now);
  void note_end(EntryState& entry, const std::string& how, Clock::time_point now);
  void start_due(Clock::time_point now);
  void start(EntryState& entry, Clock::time_point now);
  bool services_answered() const;
  void look(Clock::time_point now, bool at_all);
  void take_health(EntryState& entry, bool good, Clock::time_point now);
  static std::string log_end(const EntryState& entry);
  void tell_slow(EntryState& entry, Clock::time_point now);
  bool all_ready() const;
  void tell_all_ready();
  m3::Status time_is_up() const;

  m3::Status stop(const SignalWaiter& signals);
  void stop_group(std::size_t group, const SignalWaiter& signals);
  bool any_running(std::size_t group) const;
  void reap_stopped();
  void kill_all(std::size_t least_group);

  void say(const EntryState& entry, const std::string& text);
  void say(const std::string& text);
  void show(Clock::time_point now);
  void show_logs();
  std::string state_json() const;
  void write_state();

  ClusterPlan plan_;
  SupervisorOptions options_;
  Screen& screen_;
  std::vector<EntryState> entries_;
  LogFollower logs_;
  Clock::time_point began_ = Clock::now();
  Clock::time_point next_full_look_ = began_;
  std::size_t name_width_ = 0;
  bool services_up_ = false;
  bool told_ready_ = false;
  bool changed_ = true;
  bool had_trouble_ = false;
  bool impatient_ = false;
  std::vector<std::string> unpeaceful_;  ///< the processes that did not stop cleanly, and how
};

}  // namespace m3ctl
