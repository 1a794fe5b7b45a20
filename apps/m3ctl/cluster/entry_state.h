// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "apps/m3ctl/cluster/cluster_entry.h"
#include "apps/m3ctl/cluster/metrics.h"
#include "apps/m3ctl/cluster/process.h"

namespace m3ctl {

/// The phase of an entry's life cycle.
enum class Phase : std::uint8_t {
  waiting,   ///< for the services to answer
  starting,  ///< its process runs and is not ready yet
  ready,
  not_ready,  ///< it was ready, but now fails its check or does not answer
  backoff,    ///< it exited, and is restarted at `next_start`
  stopping,
  stopped,
};

/// An entry and its state.
struct EntryState {
  using Clock = std::chrono::steady_clock;

  ClusterEntry plan;
  Process process;
  Phase phase = Phase::waiting;
  unsigned restarts = 0;
  unsigned deaths_in_a_row = 0;  ///< each after a short run
  Clock::time_point started;
  std::int64_t started_unix_ms = 0;
  Clock::time_point next_start;
  std::size_t log_begin = 0;  ///< the size of its log when it started
  bool told_slow = false;     ///< that it takes long to become ready
  std::string last_end;       ///< "was killed by signal 9 (Killed)"
  PaceMeter meter;
  Pace pace;

  explicit EntryState(ClusterEntry entry) : plan(std::move(entry)) {}
  bool crash_loop() const { return deaths_in_a_row >= 3; }
  /// "ready", "crash loop".
  std::string phase_name() const;
  /// The same with the time of its restart: "crash loop: restarting in 3.2s".
  std::string phase_text(Clock::time_point now) const;
};

/// "3s", "2m05s", "1h02m".
std::string show_uptime(std::chrono::steady_clock::duration time);

/// The live table: INSTANCE PID STATE CALLS/S P99 RESTARTS UPTIME.
std::vector<std::vector<std::string>> table_rows(const std::vector<EntryState>& entries,
                                                 EntryState::Clock::time_point now);

}  // namespace m3ctl
