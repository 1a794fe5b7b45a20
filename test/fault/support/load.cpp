// SPDX-License-Identifier: BSL-1.0
#include "support/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "m3/admin.m3.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "support/process_facts.h"

namespace fault {

using m3::as_result;
using m3::Ctx;
using m3::Deadline;
using m3::Status;
using m3::Task;

namespace {
constexpr std::size_t kMostUnderWay = 5000;
}

Load::Load(Options options)
    : options_(std::move(options)), app_("load"), per_second_(options_.per_second) {
  m3::App::Embedding embedding;
  embedding.id = *m3::AppId::parse(options_.id);
  embedding.config = "cores = 1\nlog_level = \"error\"\ndrain_wait = \"0s\"\n" + options_.config;
  if (Status status = app_.start(std::move(embedding)); !status)
    throw std::runtime_error("the load did not start: " + status.to_string());
  client_.emplace(app_, m3::func("fault"));
  thread_ = std::thread([this] {
    (void)run([this](Ctx& ctx, m3::App&) { return pace(ctx); });
    finished_ = true;
  });
}

Load::~Load() {
  stopping_ = true;
  thread_.join();
  (void)app_.stop();
}

Task<> Load::pace(Ctx& ctx) {
  m3::Scope scope(ctx.core(), ctx.host());
  if (options_.shouts) scope.spawn("shouts", [this](Ctx& own) { return shout_on(own); });
  const auto period = [this] { return Nanos(static_cast<std::int64_t>(1e9 / per_second_)); };
  TimePoint due = now();
  while (!stopping_) {
    for (; due <= now(); due += period()) {
      if (scope.size() > kMostUnderWay) continue;
      const std::size_t index =
          begin_call(options_.timeouts[calls_.size() % options_.timeouts.size()]);
      scope.spawn("call", [this, index](Ctx&) { return one(index); });
    }
    co_await m3::sleep_until(ctx, due);
    stall_ = std::max<std::int64_t>(stall_, Nanos(now() - due).count());
  }
  co_await scope.drain(ctx);
  co_return m3::ok;
}

Task<> Load::one(std::size_t index) {
  WorkReq req;
  req.set_id(options_.first_id + index);
  req.set_work_ms(options_.work_ms);
  req.set_burn_us(options_.burn_us);
  TimePoint deadline;
  {
    const std::lock_guard lock(mutex_);
    deadline = calls_[index].deadline;
  }
  req.set_deadline_ns(Nanos(deadline.time_since_epoch()).count());
  Ctx ctx(app_.runtime().core(0), Deadline(deadline), &app_);
  const m3::Route& route = options_.routes[index % options_.routes.size()];
  const auto outcome = co_await as_result(options_.idempotent ? client_->work_again(ctx, req, route)
                                                              : client_->work(ctx, req, route));
  end_call(index, outcome);
  co_return m3::ok;
}

Task<> Load::shout_on(Ctx& ctx) {
  while (!stopping_) {
    ShoutReq req;
    req.set_number(shouted_ + 1);
    // An error says that it was not sent: that is no loss in silence.
    auto sent = co_await as_result(client_->shout(ctx, req));
    if (sent.is_ok()) ++shouted_;
    co_await m3::sleep(ctx, std::chrono::milliseconds(100));
  }
  co_return m3::ok;
}

std::size_t Load::begin_call(Nanos timeout) {
  const std::lock_guard lock(mutex_);
  Call& call = calls_.emplace_back();
  call.begun = now();
  call.deadline = call.begun + timeout;
  return calls_.size() - 1;
}

void Load::end_call(std::size_t index, const m3::Result<WorkRsp>& outcome) {
  const std::lock_guard lock(mutex_);
  Call& call = calls_[index];
  call.ended = now();
  ++call.ends;
  ++ended_;
  if (outcome.is_ok()) {
    call.by = outcome->by();
    return;
  }
  call.code = outcome.status().code();
  call.maybe_executed = outcome.status().maybe_executed();
  call.text = outcome.status().text();
}

std::size_t Load::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool Load::more_calls(std::size_t count, Nanos limit) {
  const std::size_t wanted = ended() + count;
  return eventually([&] { return ended() >= wanted; }, limit);
}

TimePoint Load::answered_by(const std::string& id, TimePoint from, Nanos limit) {
  TimePoint when = TimePoint::max();
  eventually(
      [&] {
        const std::lock_guard lock(mutex_);
        // The latest are at the end.
        for (auto call = calls_.rbegin(); call != calls_.rend() && call->begun >= from; ++call)
          if (call->ends && call->by == id) when = std::min(when, call->ended);
        return when != TimePoint::max();
      },
      limit);
  return when;
}

bool Load::stop() {
  stopping_ = true;
  const Nanos longest = *std::ranges::max_element(options_.timeouts);
  return eventually([this] { return finished_.load(); }, longest + 20s);
}

std::vector<Call> Load::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::uint64_t Load::metric(const std::string& name) { return metric_value(app_.metrics(), name); }

CountRsp Load::count(const std::string& id) {
  CountRsp out;
  const Status status = run([&](Ctx& ctx, m3::App&) -> Task<> {
    Ctx soon(ctx, Deadline(ctx.core().now() + 20s));
    for (;;) {
      auto answer = co_await as_result(client_->count(soon, CountReq(), m3::to::app(id)));
      if (answer.is_ok()) {
        out = *std::move(answer);
        co_return m3::ok;
      }
      // It may be a moment before the instance is dialled again, and what the row has just cut is
      // perhaps only noticed by this call; asking again does no harm.
      if (answer.status() != m3::Errc::unavailable) co_return std::move(answer).status();
      co_await m3::sleep(soon, std::max<m3::Nanos>(answer.status().retry_after(), 10ms));
    }
  });
  if (!status) throw std::runtime_error("counts of " + id + ": " + status.to_string());
  return out;
}

void Load::behave(const std::string& id, BehaveReq::Mode mode, m3::Errc code) {
  BehaveReq req;
  req.set_mode(mode);
  req.set_code(static_cast<std::uint32_t>(code));
  const Status status = run([&](Ctx& ctx, m3::App&) -> Task<> {
    Ctx soon(ctx, Deadline(ctx.core().now() + 20s));
    co_await client_->behave(soon, req, m3::to::app(id));
    co_return m3::ok;
  });
  if (!status) throw std::runtime_error("behaviour of " + id + ": " + status.to_string());
}

void Load::shout_from(const std::string& id, std::uint64_t number) {
  RelayReq req;
  req.set_shout(number);
  const Status status = run([&](Ctx& ctx, m3::App&) -> Task<> {
    Ctx soon(ctx, Deadline(ctx.core().now() + 20s));
    co_await client_->relay(soon, req, m3::to::app(id));
    co_return m3::ok;
  });
  if (!status) throw std::runtime_error("the shout of " + id + ": " + status.to_string());
}

void Load::drain(const std::string& id, bool drained) {
  m3::admin::SetStateReq req;
  req.set_state(drained ? m3::admin::MEMBER_STATE_DRAINING : m3::admin::MEMBER_STATE_SERVING);
  const Status status = run([&](Ctx& ctx, m3::App& app) -> Task<> {
    Ctx soon(ctx, Deadline(ctx.core().now() + 20s));
    m3::admin::ControlClient control(app, m3::func("fault"));
    m3::admin::SetStateRsp rsp;
    co_await control.set_state(soon, req, rsp, m3::to::app(id));
    co_return m3::ok;
  });
  if (!status) throw std::runtime_error("the state of " + id + ": " + status.to_string());
}

// ---- what records say

std::size_t count_if(const std::vector<Call>& calls, const Filter& filter) {
  return static_cast<std::size_t>(std::ranges::count_if(calls, filter));
}

std::string failures(const std::vector<Call>& calls) {
  std::map<std::string, std::size_t> by_code;
  for (const Call& call : calls)
    if (call.failed()) ++by_code[m3::errc_name(call.code)];
  std::string out;
  for (const auto& [code, count] : by_code)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, code);
  return out.empty() ? "none" : out;
}

Nanos quantile(std::vector<Nanos> values, double q) {
  if (values.empty()) return Nanos(0);
  const auto at = static_cast<std::size_t>(static_cast<double>(values.size() - 1) * q);
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

Nanos p99(const std::vector<Call>& calls, TimePoint from, TimePoint to, const Filter& filter) {
  constexpr int kWindows = 5;
  std::vector<Nanos> windows;
  for (int i = 0; i < kWindows; ++i) {
    const TimePoint begin = from + (to - from) * i / kWindows;
    const TimePoint end = from + (to - from) * (i + 1) / kWindows;
    std::vector<Nanos> took;
    for (const Call& call : calls)
      if (call.ends && !call.failed() && call.begun >= begin && call.begun < end && filter(call))
        took.push_back(call.took());
    windows.push_back(quantile(std::move(took), 0.99));
  }
  return quantile(std::move(windows), 0.5);
}

Nanos last_after(const std::vector<Call>& calls, TimePoint at, const Filter& filter) {
  Nanos last{0};
  for (const Call& call : calls)
    if (call.begun > at && filter(call)) last = std::max(last, Nanos(call.begun - at));
  return last;
}

void check_calls(Row& row, Load& load, const std::vector<std::string>& living) {
  const std::vector<Call> calls = load.calls();
  const std::size_t unended = count_if(calls, [](const Call& call) { return call.ends != 1; });
  row.holds(fmt::format("each of {} calls ended exactly once ({} did not); failed: {}",
                        calls.size(), unended, failures(calls)),
            unended == 0);
  Nanos latest = Nanos::min();
  for (const Call& call : calls)
    if (call.ends) latest = std::max(latest, Nanos(call.ended - call.deadline));
  const Nanos allowed = Row::allowed(100ms) + load.stall();
  row.holds(fmt::format("none ended later than its deadline + {} ({} of it the machine's); the "
                        "latest {} after",
                        ms(allowed), ms(load.stall()), ms(std::max(latest, Nanos(0)))),
            latest <= allowed);
  for (const std::string& id : living) {
    const CountRsp counts = load.count(id);
    row.holds(
        fmt::format("{}: of {} handlers {} began after the deadline (at most {}), {} a second "
                    "time",
                    id, counts.started(), counts.late(),
                    ms(Nanos(std::max<std::int64_t>(counts.latest_ns(), 0))), counts.repeated()),
        counts.late() == 0 && counts.repeated() == 0);
  }
}

Held held_here() { return {open_files(), resident_bytes()}; }

Held held_by(Load& load, const std::string& id) {
  const CountRsp counts = load.count(id);
  return {counts.open_files(), counts.resident_bytes()};
}

void check_baseline(Row& row, const std::string& who, const Held& before,
                    const std::function<Held()>& after) {
  // Allocators keep what was freed; sanitizers keep up to 256 MiB of it.
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
  constexpr std::uint64_t kKept = 300u << 20;
#else
  constexpr std::uint64_t kKept = 32u << 20;
#endif
  Held held = after();
  eventually(
      [&] {
        held = after();
        return held.files <= before.files;
      },
      20s);
  row.holds(fmt::format("{} is at its baseline: {} files open ({} before), {} MiB ({} before)", who,
                        held.files, before.files, held.bytes >> 20, before.bytes >> 20),
            held.files <= before.files && held.bytes <= before.bytes + kKept);
}

}  // namespace fault
