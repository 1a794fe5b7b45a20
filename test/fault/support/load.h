// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fault.m3.h"
#include "m3/app/app.h"
#include "support/row.h"

namespace fault {

/// One call, as its caller saw it.
struct Call {
  TimePoint begun;
  TimePoint deadline;
  TimePoint ended;
  int ends = 0;
  m3::Errc code = m3::Errc::ok;
  bool maybe_executed = true;
  std::string text;
  std::string by;  // the id that answered; empty: nobody did

  bool failed() const { return ends > 0 && code != m3::Errc::ok; }
  Nanos took() const { return ended - begun; }
};

/// A caller inside this process that sends calls at a steady pace, whatever becomes of those
/// before, and keeps a record of each. One core. Used from the test's thread.
class Load {
 public:
  struct Options {
    std::string id = "dev.w.load.1";
    std::uint64_t first_id = 0;  ///< of its calls; no two loads may share one
    std::string config;          ///< with the router; the rest of the app's file
    double per_second = 200;
    std::vector<Nanos> timeouts = {std::chrono::seconds(1)};  ///< in turn
    unsigned work_ms = 0;                                     ///< how long each handler waits
    unsigned burn_us = 0;                                     ///< how long it computes
    bool idempotent = false;
    std::vector<m3::Route> routes = {m3::to::random()};  ///< in turn
    bool shouts = false;                                 ///< broadcasts too, ten a second
  };
  explicit Load(Options options);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load();

  /// Waits until that many more calls have ended. False: not within the limit.
  bool more_calls(std::size_t count, Nanos limit = 60s);
  /// Waits until a call that began after `from` was answered by `id`; gives when it ended.
  TimePoint answered_by(const std::string& id, TimePoint from, Nanos limit = 60s);
  /// Another pace from now on.
  void set_pace(double per_second) { per_second_ = per_second; }
  /// No new calls; waits until the last has ended. False: some have not, and never will.
  bool stop();

  /// A copy of the records so far.
  std::vector<Call> calls() const;
  /// How late the pacer's own timer came, at most: what the machine owes to everybody in this
  /// process.
  Nanos stall() const { return Nanos(stall_.load()); }
  /// Of the caller's own metrics, summed over its series.
  std::uint64_t metric(const std::string& name);
  std::uint64_t shouted() const { return shouted_; }

  /// Control calls, beside the load.
  CountRsp count(const std::string& id);
  /// `code`: what a REFUSE says.
  void behave(const std::string& id, BehaveReq::Mode mode, m3::Errc code = m3::Errc::unavailable);
  /// Has an instance shout.
  void shout_from(const std::string& id, std::uint64_t number);
  /// As an operator: drains an instance, or has it serve again.
  void drain(const std::string& id, bool drained);
  /// Runs body(Ctx&, App&) on the caller's core.
  template <class Body>
  m3::Status run(Body body) {
    return app_.block_on([this, &body](m3::Ctx& ctx) { return body(ctx, app_); }).status();
  }
  m3::App& app() { return app_; }

 private:
  m3::Task<> pace(m3::Ctx& ctx);
  m3::Task<> one(std::size_t index);
  m3::Task<> shout_on(m3::Ctx& ctx);
  std::size_t begin_call(Nanos timeout);
  void end_call(std::size_t index, const m3::Result<WorkRsp>& outcome);
  std::size_t ended() const;

  const Options options_;
  m3::App app_;
  std::optional<FaultClient> client_;
  std::atomic<double> per_second_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> finished_{false};
  std::atomic<std::int64_t> stall_{0};
  std::atomic<std::uint64_t> shouted_{0};
  mutable std::mutex mutex_;
  std::vector<Call> calls_;
  std::size_t ended_ = 0;
  std::thread thread_;
};

// ---- what records say

using Filter = std::function<bool(const Call&)>;
std::size_t count_if(const std::vector<Call>& calls, const Filter& filter);
/// "3 unavailable, 1 deadline_exceeded": of the calls that failed.
std::string failures(const std::vector<Call>& calls);
/// 0: there are none.
Nanos quantile(std::vector<Nanos> values, double q);
/// The median of the p99 of five equal windows of [from, to), of the calls that were answered.
Nanos p99(const std::vector<Call>& calls, TimePoint from, TimePoint to, const Filter& filter);
/// How long after `at` the last call began that `filter` chooses; 0: none did.
Nanos last_after(const std::vector<Call>& calls, TimePoint at, const Filter& filter);

/// Invariant 4: each call ended exactly once, within its deadline + 100 ms (and what the machine
/// owed); no handler of these instances began after its call's deadline, and none twice for one
/// call.
void check_calls(Row& row, Load& load, const std::vector<std::string>& living);

/// Invariant 8: what a process held before a fault and holds after it.
struct Held {
  std::uint64_t files;
  std::uint64_t bytes;
};
Held held_here();
Held held_by(Load& load, const std::string& id);
/// Files exactly, memory but for what allocators keep. Waits until the files are closed.
void check_baseline(Row& row, const std::string& who, const Held& before,
                    const std::function<Held()>& after);

}  // namespace fault
