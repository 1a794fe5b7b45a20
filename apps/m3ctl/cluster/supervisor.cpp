// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/supervisor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "apps/m3ctl/cluster/cluster_state.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kStep{100};
constexpr std::chrono::milliseconds kPatience{300};  // with an instance that is asked something
constexpr std::chrono::seconds kLookEvery{1};
constexpr std::chrono::seconds kSlow{10};
// A process that runs this long is no crash loop.
constexpr std::chrono::seconds kSettled{10};
constexpr std::chrono::milliseconds kFirstBackoff{200};
constexpr std::chrono::milliseconds kMostBackoff{10'000};
constexpr std::size_t kTailLines = 5;
constexpr unsigned kTellReasons = 3;  // deaths in a row

std::chrono::milliseconds backoff(unsigned deaths) {
  return std::min(kMostBackoff, kFirstBackoff * (1 << std::min(deaths - 1, 10U)));
}

Tint tint_of(const MemberState& member) {
  switch (member.phase) {
    case Phase::ready:
      return Tint::good;
    case Phase::not_ready:
    case Phase::backoff:
      return Tint::bad;
    case Phase::starting:
      return member.crash_loop() ? Tint::bad : Tint::busy;
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
  members_.reserve(plan_.members.size());
  for (const Member& member : plan_.members) {
    members_.emplace_back(member);
    logs_.add(member.log);
    name_width_ = std::max(name_width_, member.name.size());
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
  if (!told_ready_ && all_ready()) tell_all_ready(now);
  if (changed_) write_state();
  show_logs();
  show(now);
}

void Supervisor::reap(Clock::time_point now) {
  for (MemberState& member : members_)
    if (auto ended = member.process.poll()) note_end(member, ended->to_string(), now);
}

void Supervisor::note_end(MemberState& member, const std::string& how, Clock::time_point now) {
  const auto lived = now - member.started;
  member.deaths_in_a_row = lived >= kSettled ? 1 : member.deaths_in_a_row + 1;
  const std::chrono::milliseconds wait = backoff(member.deaths_in_a_row);
  member.phase = Phase::backoff;
  member.next_start = now + wait;
  member.last_end = how;
  member.pace = Pace();
  had_trouble_ = changed_ = true;
  std::string text = fmt::format("{} after {}; {}again in {:.1f}s", how, show_uptime(lived),
                                 member.crash_loop() ? "a crash loop, " : "",
                                 std::chrono::duration<double>(wait).count());
  // Once it is clear that it does not work, its reasons need not be repeated.
  say(member, member.deaths_in_a_row > kTellReasons ? text : text + log_end(member));
}

std::string Supervisor::log_end(const MemberState& member) {
  const std::string tail = log_tail(member.plan.log, member.log_begin, kTailLines);
  return tail.empty() ? "" : "; its log ends with\n" + tail.substr(0, tail.size() - 1);
}

bool Supervisor::services_answered() const {
  return std::all_of(members_.begin(), members_.end(), [](const MemberState& member) {
    return member.plan.is_app() || member.phase == Phase::ready;
  });
}

void Supervisor::start_due(Clock::time_point now) {
  services_up_ = services_up_ || services_answered();
  for (MemberState& member : members_) {
    if (member.phase == Phase::waiting && (services_up_ || !member.plan.is_app()))
      start(member, now);
    if (member.phase == Phase::backoff && now >= member.next_start) {
      ++member.restarts;
      start(member, now);
    }
  }
}

void Supervisor::start(MemberState& member, Clock::time_point now) {
  member.started = now;
  member.started_unix_ms = unix_ms();
  member.meter.reset();
  member.told_slow = false;
  member.log_begin = log_size(member.plan.log);
  auto process = Process::spawn(member.plan.argv, member.plan.log);
  if (!process.is_ok()) return note_end(member, process.status().text(), now);
  member.process = *std::move(process);
  member.phase = Phase::starting;
  changed_ = true;
  say(member,
      fmt::format("starts (pid {}, {})", member.process.pid(), member.plan.address.to_string()));
}

void Supervisor::look(Clock::time_point now, bool at_all) {
  std::vector<Question> questions;
  std::vector<MemberState*> asked;
  std::vector<bool> for_metrics;
  const auto ask = [&](MemberState& member, Question question, bool metrics) {
    questions.push_back(std::move(question));
    asked.push_back(&member);
    for_metrics.push_back(metrics);
  };
  for (MemberState& member : members_) {
    if (!member.process.running()) continue;
    const bool starting = member.phase == Phase::starting;
    if (starting || at_all) ask(member, member.plan.ready, false);
    if (at_all && !starting && member.plan.admin)
      ask(member, http_get(*member.plan.admin, "/metrics"), true);
  }
  if (questions.empty()) return;
  const std::vector<Answer> answers = ask_all(questions, kPatience);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    MemberState& member = *asked[i];
    if (!for_metrics[i])
      take_health(member, member.plan.is_ready(answers[i]), now);
    else if (is_http_ok(answers[i].text))
      member.pace = member.meter.update(answers[i].text, Clock::now());
    else
      member.pace = Pace();
  }
}

void Supervisor::take_health(MemberState& member, bool good, Clock::time_point now) {
  if (member.phase == Phase::starting && !good) return tell_slow(member, now);
  const Phase phase = good ? Phase::ready : Phase::not_ready;
  if (member.phase == phase) return;
  const bool fresh = member.phase == Phase::starting;
  member.phase = phase;
  changed_ = true;
  say(member, !good   ? "is not ready any more"
              : fresh ? fmt::format("is ready after {}", show_time(now - member.started))
                      : "is ready again");
}

void Supervisor::tell_slow(MemberState& member, Clock::time_point now) {
  if (member.told_slow || now - member.started < kSlow) return;
  member.told_slow = true;
  say(member, "is not ready after " + show_uptime(kSlow) + log_end(member));
}

bool Supervisor::all_ready() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const MemberState& member) { return member.phase == Phase::ready; });
}

void Supervisor::tell_all_ready(Clock::time_point now) {
  told_ready_ = true;
  say(fmt::format("all ready after {}; Ctrl-C stops", show_time(now - began_)));
  if (options_.ready_file.empty()) return;
  if (Status status = write_whole(options_.ready_file, state_json()); !status) say(status.text());
}

Status Supervisor::time_is_up() const {
  for (const MemberState& member : members_)
    if (member.phase != Phase::ready)
      return Status(Errc::deadline_exceeded,
                    fmt::format("the time is up, and {} is not ready: {}{}", member.plan.name,
                                member.phase_name(),
                                member.last_end.empty() ? "" : ", it " + member.last_end));
  return m3::ok;
}

// ------------------------------------------------------------------------------------------ stop

Status Supervisor::stop(const SignalWaiter& signals) {
  for (std::size_t group = plan_.groups(); group-- > 0;) stop_group(group, signals);
  show_logs();
  screen_.settle();
  if (impatient_)
    return Status(Errc::cancelled, "what still ran was killed, as the second signal asked");
  if (!unpeaceful_.empty())
    return Status(Errc::internal,
                  fmt::format("these did not stop in peace: {}", fmt::join(unpeaceful_, ", ")));
  say("all stopped");
  return m3::ok;
}

void Supervisor::stop_group(std::size_t group, const SignalWaiter& signals) {
  for (MemberState& member : members_) {
    if (member.plan.group != group) continue;
    member.phase = member.process.running() ? Phase::stopping : Phase::stopped;
    if (!member.process.running()) continue;
    say(member, "is asked to stop");
    member.process.signal(SIGTERM);
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
  return std::any_of(members_.begin(), members_.end(), [&](const MemberState& member) {
    return member.plan.group == group && member.process.running();
  });
}

void Supervisor::reap_stopped() {
  for (MemberState& member : members_) {
    const auto ended = member.process.poll();
    if (!ended) continue;
    const bool was_asked = member.phase == Phase::stopping;
    member.phase = Phase::stopped;
    // A service that was asked to leave may do so as it likes: consul's exit code is 1.
    const bool as_asked = was_asked && ended->signal == 0 && !member.plan.is_app();
    member.last_end = as_asked ? "left" : ended->to_string();
    say(member, member.last_end);
    changed_ = true;
    if (ended->clean() || !was_asked || !member.plan.is_app()) continue;
    had_trouble_ = true;
    unpeaceful_.push_back(fmt::format("{} {}", member.plan.name, member.last_end));
  }
  if (changed_) write_state();
}

void Supervisor::kill_all(std::size_t least_group) {
  for (MemberState& member : members_) {
    if (!member.process.running() || member.plan.group < least_group) continue;
    had_trouble_ = true;
    say(member, impatient_ ? "is killed" : "has not stopped in time, and is killed");
    member.process.signal(SIGKILL);
  }
}

// ------------------------------------------------------------------------------------------ show

void Supervisor::say(const MemberState& member, const std::string& text) {
  say(fmt::format("{:<{}}  {}", member.plan.name, name_width_, text));
}

void Supervisor::say(const std::string& text) {
  const double at = std::chrono::duration<double>(Clock::now() - began_).count();
  screen_.say(fmt::format("{:>7}  {}", fmt::format("+{:.1f}s", at), text));
}

void Supervisor::show(Clock::time_point now) {
  if (!screen_.shows_block()) return;
  std::vector<ScreenLine> block{{}};
  std::istringstream lines(table(table_rows(members_, now)));
  for (std::string line; std::getline(lines, line);)
    block.push_back(
        {std::move(line), block.size() == 1 ? Tint::head : tint_of(members_[block.size() - 2])});
  screen_.draw(std::move(block));
}

void Supervisor::show_logs() {
  if (!options_.logs) return;
  logs_.read([&](std::size_t file, const std::string& line) {
    const std::string name = fmt::format("{:<{}}", members_[file].plan.name, name_width_);
    screen_.say((screen_.colours() ? coloured(name, file) : name) + "  " + line);
  });
}

void Supervisor::write_state() {
  changed_ = false;
  if (Status status = write_whole(options_.state_file, state_json()); !status) say(status.text());
}

std::string Supervisor::state_json() const { return cluster_state_json(plan_, members_); }

}  // namespace m3ctl
