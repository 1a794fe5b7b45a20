// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/reconciler.h"

#include <algorithm>
#include <utility>

#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

/// A connection that lasted this long was a good one: the next pause is short again.
constexpr Nanos kHeld = std::chrono::seconds(1);

}  // namespace

Reconciler::Reconciler(Core& core, Link& link, Options options)
    : core_(core),
      link_(link),
      options_(std::move(options)),
      wishes_(options_.wishes, [&core] { return core.random()(); }),
      status_(Errc::unavailable, "not started"),
      backoff_(options_.reconnect),
      scope_(core) {}

Reconciler::~Reconciler() = default;

// ---- the connection

Task<> Reconciler::start(Ctx& ctx) {
  if (running_) co_return ok;
  Status joined = (co_await as_result(join(ctx))).status();
  if (!joined) {
    if (may_pass(joined.code()) && !ctx.cancelled())
      joined = Status(Errc::unavailable, joined.text());
    co_return std::move(joined).add_context(options_.name);
  }
  running_ = true;
  scope_.spawn("reconciler", [this](Ctx& own) { return keep(own); });
  co_return ok;
}

Task<> Reconciler::stop(Ctx&) {
  Ctx patient(core_);
  running_ = false;
  wake_connected();
  co_await scope_.close(patient);
  co_await leave(Status(Errc::unavailable, "stopped"));
  co_return ok;
}

Task<> Reconciler::join(Ctx& ctx) {
  Status reached = (co_await as_result(link_.connect(ctx))).status();
  if (!reached) {
    co_await leave(reached);
    co_return reached;
  }
  status_ = ok;
  joined_ = core_.read_clock();
  wishes_.connected();
  wake_connected();
  co_return ok;
}

/// Undoes the connection, or an attempt to make one.
Task<> Reconciler::leave(Status why) {
  status_ = why;
  if (wishes_.is_connected()) wishes_.lost();
  settle_all(usable());
  Ctx patient(core_);
  const Status left = (co_await as_result(link_.disconnect(patient, why))).status();
  if (!left) log::warn_limited("{}: while leaving: {}", options_.name, left.to_string());
  co_return ok;
}

Task<> Reconciler::keep(Ctx& ctx) {
  for (;;) {
    Status why = (co_await as_result(live(ctx))).status();
    if (ctx.cancelled()) co_return ok;
    log::warn_limited("{}: {}", options_.name, why.to_string());
    if (core_.read_clock() - joined_ >= kHeld) backoff_.reset();
    co_await leave(std::move(why));
    for (;;) {
      co_await sleep(ctx, backoff_.next(core_.random()()));
      const Errc before = status_.code();
      const Status joined = (co_await as_result(join(ctx))).status();
      if (ctx.cancelled()) co_return ok;
      if (joined) break;
      if (joined.code() != before) log::warn_limited("{}: {}", options_.name, joined.to_string());
    }
    log::info_limited("{} is connected again", options_.name);
  }
}

/// One connection's life; ends with the reason for its end.
Task<> Reconciler::live(Ctx& ctx) {
  auto ended = co_await when_any(
      ctx, [this](Ctx& own) { return link_.watch(own); }, [this](Ctx& own) { return pump(own); });
  Status why = std::move(ended.result).status();
  co_return why ? Status(Errc::unavailable, "the connection was lost") : why;
}

/// Sends orders whenever there are some.
Task<> Reconciler::pump(Ctx& ctx) {
  for (;;) {
    const bool idle = wishes_.under_way() == 0;
    std::vector<Order> orders = wishes_.take(core_.read_clock(), options_.window);
    if (orders.empty()) {
      if (silent()) co_return Status(Errc::unavailable, "commands are not answered");
      co_await wait_for_news(ctx);
      continue;
    }
    if (idle) {
      progress_ = core_.read_clock();
      heard_ = link_.heard();
    }
    co_await link_.send(ctx, std::move(orders));
  }
}

bool Reconciler::silent() {
  if (wishes_.under_way() == 0 || options_.answer_limit == Nanos::max()) return false;
  if (std::exchange(heard_, link_.heard()) != heard_) progress_ = core_.read_clock();
  return core_.read_clock() - progress_ >= options_.answer_limit;
}

/// Waits until there is news, a pause is over, or answers are overdue.
Task<> Reconciler::wait_for_news(Ctx& ctx) {
  TimePoint until = wishes_.next_retry();
  if (wishes_.under_way() > 0 && options_.answer_limit != Nanos::max())
    until = std::min(until, progress_ + options_.answer_limit);
  Ctx soon(ctx, until == TimePoint::max() ? Deadline::never() : Deadline(until));
  auto woken = co_await as_result(news_.receive(soon));
  if (!woken.is_ok() && ctx.cancelled()) co_return std::move(woken).status();
  co_return ok;
}

void Reconciler::news() {
  (void)news_.try_send(0).is_ok();  // full: the pump knows already
}

Task<> Reconciler::connected(Ctx& ctx) {
  while (!status_) {
    if (!running_) co_return usable();
    if (!away_) {
      away_ = std::make_shared<Countdown>();
      away_->add();
    }
    const std::shared_ptr<Countdown> mine = away_;
    co_await mine->zero(ctx);
  }
  co_return ok;
}

/// Those who wait look again, from the ready queue.
void Reconciler::wake_connected() {
  if (const auto waiting = std::exchange(away_, nullptr)) waiting->done();
}

// ---- the wishes

void Reconciler::want(std::string_view key) {
  wishes_.want(key);
  news();
}

void Reconciler::renew(std::string_view key) {
  wishes_.renew(key);
  news();
}

void Reconciler::drop(std::string_view key) {
  wishes_.drop(key);
  settle(std::string(key), Status(Errc::cancelled, options_.name + ": no longer subscribed"));
  news();
}

void Reconciler::missing(std::string_view key) {
  wishes_.missing(key);
  news();
}

Status Reconciler::usable() const {
  if (status_) return ok;
  return Status(Errc::unavailable, options_.name + ": " + status_.text()).not_executed();
}

Task<> Reconciler::settled(Ctx& ctx, std::string key) {
  if (Status can = usable(); !can) co_return can;
  switch (wishes_.state(key)) {
    case Wishes::State::confirmed:
      co_return ok;
    case Wishes::State::refused:
      co_return wishes_.error(key);
    case Wishes::State::unknown:
      co_return Status(Errc::cancelled, options_.name + ": " + key + " is not subscribed");
    case Wishes::State::open:
      break;
  }
  std::shared_ptr<Waiting>& slot = waiting_[key];
  if (!slot) {
    slot = std::make_shared<Waiting>();
    slot->open.add();
  }
  const std::shared_ptr<Waiting> mine = slot;
  Status waited = (co_await as_result(mine->open.zero(ctx))).status();
  co_return mine->open.count() == 0 ? mine->outcome : waited;
}

void Reconciler::answered(std::uint64_t number, const Status& status) {
  const Wishes::Answer answer = wishes_.answered(number, status, core_.read_clock());
  if (answer.key.empty()) return;
  progress_ = core_.read_clock();
  news();
  if (answer.confirmed) {
    link_.on_confirmed(answer.key);
    settle(answer.key, ok);
  } else if (answer.refused) {
    log::warn_limited("{}: {} was refused: {}", options_.name, answer.key, status.to_string());
    settle(answer.key, status);
  }
}

/// The waiters continue from the ready queue.
void Reconciler::settle(const std::string& key, const Status& outcome) {
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return;
  const std::shared_ptr<Waiting> waiting = std::move(found->second);
  waiting_.erase(found);
  waiting->outcome = outcome;
  waiting->open.done();
}

void Reconciler::settle_all(const Status& outcome) {
  for (const auto& [key, waiting] : std::exchange(waiting_, {})) {
    waiting->outcome = outcome;
    waiting->open.done();
  }
}

// ---- pings

Task<> watch_by_pings(Ctx& ctx, Pings pings) {
  for (;;) {
    Status lost = (co_await as_result(within(ctx, pings.interval, pings.lost))).status();
    if (ctx.cancelled() || lost != Errc::deadline_exceeded) co_return lost;
    const std::uint64_t before = pings.heard ? pings.heard() : 0;
    Status answered = (co_await as_result(within(ctx, pings.timeout, pings.ping))).status();
    if (answered) continue;
    if (!ctx.cancelled() && pings.heard && pings.heard() != before) continue;
    if (answered == Errc::deadline_exceeded && !ctx.cancelled())
      co_return Status(Errc::unavailable, pings.who + " is silent");
    co_return answered;
  }
}

}  // namespace m3
