// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/supervisor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "apps/m3ctl/cluster/cluster_state.h"
#include "apps/m3ctl/cluster/restart_request.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kStep{100};
constexpr std::chrono::milliseconds kPatience{300};  // for the answer of an instance
constexpr std::chrono::seconds kLookEvery{1};
constexpr std::chrono::seconds kSlow{10};
// A process that runs this long is not in a crash loop.
constexpr std::chrono::seconds kSettled{10};
constexpr std::chrono::milliseconds kFirstBackoff{200};
constexpr std::chrono::milliseconds kMostBackoff{10'000};
constexpr std::size_t kTailLines = 5;
constexpr unsigned kTellReasons = 3;  // exits in a row

std::chrono::milliseconds backoff(unsigned deaths) {
  return std::min(kMostBackoff, kFirstBackoff * (1 << std::min(deaths - 1, 10U)));
}

Tint tint_of(const EntryState& entry) {
  switch (entry.phase) {
    case Phase::ready:
      return Tint::good;
    case Phase::not_ready:
    case Phase::backoff:
      return Tint::bad;
    case Phase::starting:
      return entry.crash_loop() ? Tint::bad : Tint::busy;
    case Phase::stopping:
      return Tint::busy;
    default:
      return Tint::none;
  }
}

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Supervisor::Supervisor(ClusterPlan plan, SupervisorOptions options, Screen& screen)
    : plan_(std::move(plan)), options_(std::move(options)), screen_(screen) {
  entries_.reserve(plan_.entries.size());
  for (const ClusterEntry& entry : plan_.entries) {
    entries_.emplace_back(entry);
    logs_.add(entry.log);
    name_width_ = std::max(name_width_, entry.name.size());
  }
}

Status Supervisor::run(const SignalWaiter& signals) {
  Status outcome;
  bool asked = false;
  while (!asked && outcome) {
    const auto now = Clock::now();
    step(now);
    if (options_.run_for > m3::Duration::zero() && now - began_ >= options_.run_for) {
      outcome = time_is_up();
      break;
    }
    asked = signals.wait(kStep);
  }
  Status stopped = stop(signals);
  return outcome ? stopped : outcome;
}

void Supervisor::step(Clock::time_point now) {
  reap(now);
  start_due(now);
  const bool full = now >= next_full_look_;
  if (full) next_full_look_ = now + kLookEvery;
  look(now, full);
  if (!told_ready_ && all_ready()) tell_all_ready();
  if (changed_) write_state();
  show_logs();
  show(now);
}

void Supervisor::reap(Clock::time_point now) {
  for (EntryState& entry : entries_) {
    const pid_t pid = entry.process.pid();
    const auto ended = entry.process.poll();
    if (!ended) continue;
    const bool asked = take_restart_request(plan_.folder, entry.plan.name, pid);
    if (asked && ended->clean())
      note_restart(entry, now);
    else
      note_end(entry, ended->to_string(), now);
  }
}

void Supervisor::note_restart(EntryState& entry, Clock::time_point now) {
  entry.deaths_in_a_row = 0;
  entry.phase = Phase::backoff;
  entry.next_start = now;
  entry.last_end = "exited";
  entry.pace = Pace();
  changed_ = true;
  say(entry,
      fmt::format("exited after {}, as m3ctl restart asked", show_uptime(now - entry.started)));
}

void Supervisor::note_end(EntryState& entry, const std::string& how, Clock::time_point now) {
  const auto lived = now - entry.started;
  entry.deaths_in_a_row = lived >= kSettled ? 1 : entry.deaths_in_a_row + 1;
  const std::chrono::milliseconds wait = backoff(entry.deaths_in_a_row);
  entry.phase = Phase::backoff;
  entry.next_start = now + wait;
  entry.last_end = how;
  entry.pace = Pace();
  had_trouble_ = changed_ = true;
  std::string text = fmt::format("{} after {}; {}restarting in {:.1f}s", how, show_uptime(lived),
                                 entry.crash_loop() ? "crash loop, " : "",
                                 std::chrono::duration<double>(wait).count());
  // After several failures, the reasons need not be repeated.
  say(entry, entry.deaths_in_a_row > kTellReasons ? text : text + log_end(entry));
}

std::string Supervisor::log_end(const EntryState& entry) {
  const std::string tail = log_tail(entry.plan.log, entry.log_begin, kTailLines);
  return tail.empty() ? "" : "; its log ends with\n" + tail.substr(0, tail.size() - 1);
}

bool Supervisor::services_answered() const {
  return std::all_of(entries_.begin(), entries_.end(), [](const EntryState& entry) {
    return entry.plan.is_app() || entry.phase == Phase::ready;
  });
}

void Supervisor::start_due(Clock::time_point now) {
  services_up_ = services_up_ || services_answered();
  for (EntryState& entry : entries_) {
    if (entry.phase == Phase::waiting && (services_up_ || !entry.plan.is_app())) start(entry, now);
    if (entry.phase == Phase::backoff && now >= entry.next_start) {
      ++entry.restarts;
      start(entry, now);
    }
  }
}

void Supervisor::start(EntryState& entry, Clock::time_point now) {
  entry.started = now;
  entry.started_unix_ms = unix_ms();
  entry.meter.reset();
  entry.told_slow = false;
  entry.log_begin = log_size(entry.plan.log);
  auto process = Process::spawn(entry.plan.argv, entry.plan.log);
  if (!process.is_ok()) return note_end(entry, process.status().text(), now);
  entry.process = *std::move(process);
  entry.phase = Phase::starting;
  changed_ = true;
  say(entry,
      fmt::format("starts (pid {}, {})", entry.process.pid(), entry.plan.address.to_string()));
}

void Supervisor::look(Clock::time_point now, bool at_all) {
  std::vector<Question> questions;
  std::vector<EntryState*> asked;
  std::vector<bool> for_metrics;
  const auto ask = [&](EntryState& entry, Question question, bool metrics) {
    questions.push_back(std::move(question));
    asked.push_back(&entry);
    for_metrics.push_back(metrics);
  };
  for (EntryState& entry : entries_) {
    if (!entry.process.running()) continue;
    const bool starting = entry.phase == Phase::starting;
    if (starting || at_all) ask(entry, entry.plan.ready, false);
    if (at_all && !starting && entry.plan.admin)
      ask(entry, http_get(*entry.plan.admin, "/metrics"), true);
  }
  if (questions.empty()) return;
  const std::vector<Answer> answers = ask_all(questions, kPatience);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EntryState& entry = *asked[i];
    if (!for_metrics[i])
      take_health(entry, entry.plan.is_ready(answers[i]), now);
    else if (is_http_ok(answers[i].text))
      entry.pace = entry.meter.update(answers[i].text, Clock::now());
    else
      entry.pace = Pace();
  }
}

/// `now`: when the step began. Durations in the log are measured when the answer has arrived.
void Supervisor::take_health(EntryState& entry, bool good, Clock::time_point now) {
  if (entry.phase == Phase::starting && !good) return tell_slow(entry, now);
  const Phase phase = good ? Phase::ready : Phase::not_ready;
  if (entry.phase == phase) return;
  const bool fresh = entry.phase == Phase::starting;
  entry.phase = phase;
  changed_ = true;
  say(entry, !good   ? "is no longer ready"
             : fresh ? fmt::format("is ready after {}", show_time(Clock::now() - entry.started))
                     : "is ready again");
}

void Supervisor::tell_slow(EntryState& entry, Clock::time_point now) {
  if (entry.told_slow || now - entry.started < kSlow) return;
  entry.told_slow = true;
  say(entry, "is not ready after " + show_uptime(kSlow) + log_end(entry));
}

bool Supervisor::all_ready() const {
  return std::all_of(entries_.begin(), entries_.end(),
                     [](const EntryState& entry) { return entry.phase == Phase::ready; });
}

void Supervisor::tell_all_ready() {
  told_ready_ = true;
  say(fmt::format("all ready after {}; Ctrl-C stops", show_time(Clock::now() - began_)));
  if (options_.ready_file.empty()) return;
  if (Status status = write_whole(options_.ready_file, state_json()); !status) say(status.text());
}

Status Supervisor::time_is_up() const {
  for (const EntryState& entry : entries_)
    if (entry.phase != Phase::ready)
      return Status(
          Errc::deadline_exceeded,
          fmt::format("the time is up, but {} is not ready: {}{}", entry.plan.name,
                      entry.phase_name(), entry.last_end.empty() ? "" : ", it " + entry.last_end));
  return m3::ok;
}

// ------------------------------------------------------------------------------------------ stop

Status Supervisor::stop(const SignalWaiter& signals) {
  for (std::size_t group = plan_.groups(); group-- > 0;) stop_group(group, signals);
  show_logs();
  screen_.settle();
  if (impatient_)
    return Status(Errc::cancelled,
                  "processes that were still running were killed, as the second signal asked");
  if (!unpeaceful_.empty())
    return Status(Errc::internal,
                  fmt::format("these did not stop cleanly: {}", fmt::join(unpeaceful_, ", ")));
  say("all stopped");
  return m3::ok;
}

void Supervisor::stop_group(std::size_t group, const SignalWaiter& signals) {
  for (EntryState& entry : entries_) {
    if (entry.plan.group != group) continue;
    entry.phase = entry.process.running() ? Phase::stopping : Phase::stopped;
    if (!entry.process.running()) continue;
    say(entry, "is stopping");
    entry.process.signal(SIGTERM);
  }
  write_state();
  const auto until = Clock::now() + plan_.stop_timeout;
  bool killed = impatient_;
  if (killed) kill_all(group);
  while (any_running(group)) {
    if (signals.wait(kStep) && !impatient_) {
      impatient_ = true;
      kill_all(0);
    }
    if (!killed && !impatient_ && Clock::now() >= until) {
      killed = true;
      kill_all(group);
    }
    reap_stopped();
    show_logs();
    show(Clock::now());
  }
}

bool Supervisor::any_running(std::size_t group) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const EntryState& entry) {
    return entry.plan.group == group && entry.process.running();
  });
}

void Supervisor::reap_stopped() {
  for (EntryState& entry : entries_) {
    const auto ended = entry.process.poll();
    if (!ended) continue;
    const bool was_asked = entry.phase == Phase::stopping;
    entry.phase = Phase::stopped;
    // A service that was asked to stop may exit with any code: consul's is 1.
    const bool as_asked = was_asked && ended->signal == 0 && !entry.plan.is_app();
    entry.last_end = as_asked ? "exited" : ended->to_string();
    say(entry, entry.last_end);
    changed_ = true;
    if (ended->clean() || !was_asked || !entry.plan.is_app()) continue;
    had_trouble_ = true;
    unpeaceful_.push_back(fmt::format("{} {}", entry.plan.name, entry.last_end));
  }
  if (changed_) write_state();
}

void Supervisor::kill_all(std::size_t least_group) {
  for (EntryState& entry : entries_) {
    if (!entry.process.running() || entry.plan.group < least_group) continue;
    had_trouble_ = true;
    say(entry, impatient_ ? "is killed" : "has not stopped in time; killing it");
    entry.process.signal(SIGKILL);
  }
}

// ------------------------------------------------------------------------------------------ show

void Supervisor::say(const EntryState& entry, const std::string& text) {
  say(fmt::format("{:<{}}  {}", entry.plan.name, name_width_, text));
}

void Supervisor::say(const std::string& text) {
  const double at = std::chrono::duration<double>(Clock::now() - began_).count();
  screen_.say(fmt::format("{:>7}  {}", fmt::format("+{:.1f}s", at), text));
}

void Supervisor::show(Clock::time_point now) {
  if (!screen_.shows_block()) return;
  std::vector<ScreenLine> block{{}};
  std::istringstream lines(table(table_rows(entries_, now)));
  for (std::string line; std::getline(lines, line);)
    block.push_back(
        {std::move(line), block.size() == 1 ? Tint::head : tint_of(entries_[block.size() - 2])});
  screen_.draw(std::move(block));
}

void Supervisor::show_logs() {
  screen_.flush();
  if (!options_.logs) return;
  logs_.read([&](std::size_t file, const std::string& line) {
    const std::string name = fmt::format("{:<{}}", entries_[file].plan.name, name_width_);
    screen_.say((screen_.colours() ? coloured(name, file) : name) + "  " + line);
  });
}

void Supervisor::write_state() {
  changed_ = false;
  if (Status status = write_whole(options_.state_file, state_json()); !status) say(status.text());
}

std::string Supervisor::state_json() const { return cluster_state_json(plan_, entries_); }

}  // namespace m3ctl
