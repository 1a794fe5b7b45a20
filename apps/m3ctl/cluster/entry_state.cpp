// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/entry_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

std::string show_rate(const std::optional<double>& rate) {
  if (!rate) return "-";
  return fmt::format("{:.{}f}", *rate, *rate < 10 && *rate > 0 ? 1 : 0);
}

std::string show_latency(const std::optional<double>& seconds) {
  if (!seconds) return "-";
  return show_time(std::chrono::duration_cast<m3::Nanos>(std::chrono::duration<double>(*seconds)));
}

}  // namespace

std::string EntryState::phase_name() const {
  switch (phase) {
    case Phase::waiting:
      return "waiting";
    case Phase::starting:
      return crash_loop() ? "crash loop: starting" : "starting";
    case Phase::ready:
      return "ready";
    case Phase::not_ready:
      return "not ready";
    case Phase::stopping:
      return "stopping";
    case Phase::stopped:
      return "stopped";
    case Phase::backoff:
      break;
  }
  return crash_loop() ? "crash loop" : "ended";
}

std::string EntryState::phase_text(Clock::time_point now) const {
  if (phase != Phase::backoff) return phase_name();
  const auto left = std::max(next_start - now, Clock::duration::zero());
  return fmt::format("{}: restarting in {:.1f}s", phase_name(),
                     std::chrono::duration<double>(left).count());
}

std::string show_uptime(std::chrono::steady_clock::duration time) {
  const auto all = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  if (all < 60) return fmt::format("{}s", all);
  if (all < 3600) return fmt::format("{}m{:02}s", all / 60, all % 60);
  return fmt::format("{}h{:02}m", all / 3600, all / 60 % 60);
}

std::vector<std::vector<std::string>> table_rows(const std::vector<EntryState>& entries,
                                                 EntryState::Clock::time_point now) {
  std::vector<std::vector<std::string>> rows{
      {"INSTANCE", "PID", "STATE", "CALLS/S", "P99", "RESTARTS", "UPTIME", "ADDRESS"}};
  for (const EntryState& entry : entries) {
    const bool runs = entry.process.running();
    rows.push_back({entry.plan.name, runs ? std::to_string(entry.process.pid()) : "-",
                    entry.phase_text(now), show_rate(entry.pace.calls_per_second),
                    show_latency(entry.pace.p99_seconds), std::to_string(entry.restarts),
                    runs ? show_uptime(now - entry.started) : "-", entry.plan.address.to_string()});
  }
  return rows;
}

}  // namespace m3ctl
