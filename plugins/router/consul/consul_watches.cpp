// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_watches.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "m3/async/timer.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"
#include "plugins/router/consul/consul_member.h"
#include "plugins/router/consul/consul_retry.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

/// A service that changes all the time costs no more than this.
constexpr Nanos kBetweenAnswers = 200ms;
/// The names change whenever any service of the cluster comes or goes.
constexpr Nanos kBetweenNames = 500ms;
/// How many first answers are requested at the same time.
constexpr std::size_t kFirstAtOnce = 8;
/// How long a watch waits for a place before it takes another one's.
constexpr Nanos kTurn = 1s;
/// Longer answers are read by a helper thread; these take about 0.2 ms.
constexpr std::size_t kReadHere = 16u << 10;
/// The pause before overloaded helper threads are asked again.
constexpr Nanos kHelperPause = 100ms;

}  // namespace

struct ConsulWatches::Watch {
  Watch(Ctx& parent, const ServiceId& of, Router::Watcher& told)
      : service(of),
        name(consul_name(of)),
        watcher(&told),
        list(std::make_shared<ConsulList>(of)),
        ctx(parent, Deadline::never()) {}
  void end() {
    watcher = nullptr;
    ctx.cancel(CancelReason::shutdown);
  }
  void tell(std::vector<Member> members) {
    heard = true;
    watcher->on_members(service, std::move(members));
  }
  void lose(const Status& why) {
    heard = false;
    index = 0;
    watcher->on_unreachable(service, why);
  }

  const ServiceId service;
  const std::string name;
  Router::Watcher* watcher;  // null: it has ended
  const std::shared_ptr<ConsulList> list;
  std::uint64_t index = 0;  // 0: its next answer does not wait for a change
  bool heard = false;       // since Consul was unavailable
  Ctx ctx;
};

/// A blocking query that waits.
struct ConsulWatches::Place {
  Place(ConsulWatches& owner, Ctx& parent)
      : watches(owner), since(parent.core().now()), ctx(parent, Deadline::never()) {
    at = watches.placed_.insert(watches.placed_.end(), this);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (!taken) watches.placed_.erase(at);
  }
  void give_up() {
    taken = true;
    watches.placed_.erase(at);
    ctx.cancel(CancelReason::shutdown);
  }

  ConsulWatches& watches;
  const TimePoint since;
  Ctx ctx;
  bool taken = false;  // by another watch
  std::list<Place*>::iterator at;
};

ConsulWatches::ConsulWatches(Runtime& runtime, ConsulClient& client, Options options,
                             MetricRegistry& metrics)
    : runtime_(runtime),
      core_(runtime.core(0)),
      client_(client),
      options_(options),
      first_(kFirstAtOnce),
      places_(options.places),
      skipped_log_(1, 10min),
      skipped_(metrics.counter("m3_router_entries_skipped_total",
                               "Entries of Consul's lists that are not m3 instances")),
      answers_(
          metrics.counter("m3_router_answers_total", "Lists of instances received from Consul")),
      queries_(metrics.counter("m3_router_queries_total",
                               "Queries to Consul about services, or for their names")),
      scope_(core_) {}

ConsulWatches::~ConsulWatches() {
  assert(watches_.empty() && "ConsulWatches was destroyed before stop()");
}

Task<> ConsulWatches::stop(Ctx& ctx) {
  for (const auto& [service, watch] : watches_) watch->end();
  watches_.clear();
  absent_.clear();
  news_.clear();
  co_await scope_.close(ctx);
  co_return ok;
}

void ConsulWatches::watch(const ServiceId& service, Router::Watcher& watcher) {
  assert(!watches_.contains(service));
  const auto made = std::make_shared<Watch>(scope_.ctx(), service, watcher);
  watches_[service] = made;
  doubt(made);
  if (std::exchange(running_, true)) return;
  scope_.spawn("consul names", [this](Ctx& ctx) { return follow_names(ctx); });
  scope_.spawn("consul names", [this](Ctx& ctx) { return judge_news(ctx); });
}

void ConsulWatches::unwatch(const ServiceId& service) {
  const auto found = watches_.find(service);
  if (found == watches_.end()) return;
  const Shared watch = std::move(found->second);
  watches_.erase(found);
  absent_.erase(service);
  watch->end();
}

// ---- does it exist?

/// It has no own query until the names show that it is registered.
void ConsulWatches::doubt(const Shared& watch) {
  absent_[watch->service] = watch;
  news_.push_back(watch);
  (void)wanted_.try_send(1).is_ok();  // full: they are notified already
  (void)judged_.try_send(1).is_ok();
}

/// Queries the names while a watch needs them.
Task<> ConsulWatches::follow_names(Ctx& ctx) {
  Backoff backoff(kConsulBackoff);
  for (std::uint64_t index = 0;;) {
    if (absent_.empty()) {
      index = 0;
      names_known_ = false;
      co_await wanted_.receive(ctx);
      continue;
    }
    ConsulRequest request("GET", "/v1/catalog/services");
    request.index = index;
    request.wait = options_.wait;
    queries_.inc();
    auto answer = co_await as_result(client_.send(ctx, std::move(request)));
    if (ctx.cancelled()) co_return ok;
    Status status = answer.status();
    if (status) status = names_came(answer->body);
    if (status) {
      backoff.reset();
      index = next_consul_index(index, answer->index);
      (void)judged_.try_send(1).is_ok();
      co_await sleep(ctx, kBetweenNames);
      continue;
    }
    index = 0;
    names_known_ = false;
    const auto all = absent_;  // a callback may end a watch
    for (const auto& [service, watch] : all)
      if (watch->watcher) watch->lose(status);
    co_await sleep(ctx, backoff.next(core_.random()()));
  }
}

Status ConsulWatches::names_came(const std::string& body) {
  auto names = parse_consul_names(body);
  if (!names.is_ok()) return std::move(names).status();
  names_ = std::set<std::string>(names->begin(), names->end());
  names_known_ = true;
  news_.clear();
  for (const auto& [service, watch] : absent_) news_.push_back(watch);
  return ok;
}

/// From the ready queue: never inside watch().
Task<> ConsulWatches::judge_news(Ctx& ctx) {
  for (;;) {
    co_await judged_.receive(ctx);
    if (!names_known_) continue;
    for (const Shared& watch : std::exchange(news_, {}))
      if (watch->watcher) judge(watch);
  }
}

void ConsulWatches::judge(const Shared& watch) {
  if (names_.contains(watch->name)) {
    if (absent_.erase(watch->service) == 0) return;
    scope_.spawn("consul watch", [this, watch](Ctx&) { return follow(watch->ctx, watch); });
  } else if (!watch->heard) {
    watch->tell({});
  }
}

// ---- who is there?

/// Until it is no longer registered.
Task<> ConsulWatches::follow(Ctx& ctx, Shared watch) {
  Backoff backoff(kConsulBackoff);
  ++present_;
  for (;;) {
    auto answer = co_await as_result(next_answer(ctx, *watch));
    if (!watch->watcher) break;
    Nanos pause = kBetweenAnswers;
    bool is_empty = false;
    if (answer.is_ok()) {
      backoff.reset();
      answers_.inc();
      watch->index = next_consul_index(watch->index, answer->index);
      is_empty = answer->members.empty();
      if (!watch->heard || answer->changed) watch->tell(std::move(answer->members));
    } else if (answer.status() == Errc::cancelled) {
      continue;  // another watch got the place
    } else {
      pause = backoff.next(core_.random()());
      watch->lose(std::move(answer).status());
    }
    if (!watch->watcher) break;
    if (!(co_await as_result(sleep(ctx, pause))).is_ok()) break;
    if (!is_empty) continue;
    doubt(watch);
    break;
  }
  --present_;
  co_return ok;
}

Task<ConsulWatches::Answer> ConsulWatches::next_answer(Ctx& ctx, const Watch& watch) {
  if (watch.index != 0) co_return co_await wait_for_change(ctx, watch);
  const Semaphore::Hold turn = co_await first_.enter(ctx);
  co_return co_await ask(ctx, watch.list, 0, Nanos(0));
}

/// cancelled: the place was taken by another watch, whose turn it is.
Task<ConsulWatches::Answer> ConsulWatches::wait_for_change(Ctx& ctx, const Watch& watch) {
  const Semaphore::Hold hold = co_await take_place(ctx);
  Place place(*this, ctx);
  auto answer = co_await as_result(ask(place.ctx, watch.list, watch.index, fair_wait()));
  if (place.taken) co_return Status(Errc::cancelled, "it is the turn of another watch");
  co_return answer;
}

/// A watch without a place takes, after a while, that of the one that has waited longest.
Task<Semaphore::Hold> ConsulWatches::take_place(Ctx& ctx) {
  for (;;) {
    auto place = co_await as_result(within(ctx, kTurn, [this](Ctx& soon) -> Task<Semaphore::Hold> {
      co_return co_await places_.enter(soon);
    }));
    if (place.is_ok() || place.status() != Errc::deadline_exceeded) co_return place;
    if (!placed_.empty() && placed_.front()->since + fair_wait() <= core_.now())
      placed_.front()->give_up();
  }
}

/// So that a watch without a place gets one after about one round.
Nanos ConsulWatches::fair_wait() const {
  if (present_ <= options_.places) return options_.wait;
  const auto share = static_cast<std::int64_t>(options_.places / (present_ - options_.places));
  return std::clamp(kTurn * share, kTurn, std::max(kTurn, options_.wait));
}

Task<ConsulWatches::Answer> ConsulWatches::ask(Ctx& ctx, std::shared_ptr<ConsulList> list,
                                               std::uint64_t index, Nanos wait) {
  const std::string name = consul_name(list->service());
  ConsulRequest request("GET", "/v1/health/service/" + name);
  request.index = index;
  request.wait = wait;
  request.expected_bytes = list->bytes();
  queries_.inc();
  ConsulResponse answer = co_await client_.send(ctx, std::move(request));
  Answer out;
  static_cast<ConsulList::Read&>(out) = co_await read(ctx, std::move(list), std::move(answer.body));
  out.index = answer.index;
  for (const std::string& why : out.skipped) skip(name, why);
  co_return out;
}

/// Long answers are read on a helper thread: one of 5,000 instances has 8 MB.
Task<ConsulList::Read> ConsulWatches::read(Ctx& ctx, std::shared_ptr<ConsulList> list,
                                           std::string body) {
  if (body.size() <= kReadHere) co_return list->read(std::move(body));
  // A cancelled wait leaves the work behind, so the work owns everything it uses.
  const auto text = std::make_shared<std::string>(std::move(body));
  for (;;) {
    auto done = co_await as_result(
        run_blocking(ctx, runtime_, [list, text] { return list->read(std::move(*text)); }));
    if (done.status() != Errc::resource_exhausted) co_return done;
    log::warn_limited("router.consul: a list waits for a helper thread: {}", done.status().text());
    co_await sleep(ctx, kHelperPause);
  }
}

void ConsulWatches::skip(const std::string& service, const std::string& why) {
  skipped_.inc();
  if (auto more = skipped_log_.pass(service + cut_text(why), core_.now()))
    log::warn_limited("router.consul: an entry of {} is left out ({} more times): {}", service,
                      *more, why);
}

Task<std::vector<Member>> ConsulWatches::members(Ctx& ctx, ServiceId service) {
  Answer answer = co_await ask(ctx, std::make_shared<ConsulList>(std::move(service)), 0, Nanos(0));
  co_return std::move(answer.members);
}

}  // namespace m3
