// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/watches.h"

#include <algorithm>
#include <utility>

#include "m3/async/once.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/obs/log.h"
#include "m3/rpc/node.h"

namespace m3::mesh_detail {
namespace {

/// Larger services are handled on a helper thread; up to here the work takes about 0.3 ms.
constexpr std::size_t kInstancesInline = 512;
/// The pause before overloaded helper threads are asked again.
constexpr Nanos kHelperPause = std::chrono::milliseconds(100);
/// How often cores check which services they no longer call.
constexpr Nanos kSweepEvery = std::chrono::seconds(5);
constexpr std::size_t kProbesAtOnce = 256;  // of one service

}  // namespace

Watches::Watches(Runtime& runtime, Router& router, const MeshConfig& config,
                 MetricRegistry& metrics)
    : runtime_(runtime),
      router_(router),
      config_(config),
      slots_(std::make_shared<SlotPool>()),
      probe_(config_.probe_timeout, slots_),
      lists_(metrics.counter("m3_mesh_lists_total", "Lists of instances received from the router")),
      unreachable_(
          metrics.counter("m3_mesh_router_unreachable_total", "Times the router did not answer")),
      doubted_(
          metrics.counter("m3_mesh_lists_doubted_total",
                          "Lists in which instances were missing or sick, so those were probed")),
      changes_(metrics.counter("m3_mesh_changes_total", "Changes of a service's instances")),
      sick_ignored_(
          metrics.counter("m3_mesh_sick_ignored_total",
                          "Changes with so many sick instances that those still get calls")),
      observers_(runtime.core(0)),
      home_(runtime.core(0)),
      scope_(runtime.core(0)) {}

Watches::~Watches() = default;

void Watches::start(RpcNode& node, std::vector<CoreView*> views) {
  node_ = &node;
  views_ = std::move(views);
  probe_.start(node);
  for (const auto& [service, watched] : watched_) router_.watch(service, *this);
  scope_.spawn("unused watches", [this](Ctx& ctx) { return sweep(ctx); });
}

Task<> Watches::stop(Ctx& ctx) {
  if (std::exchange(stopped_, true)) co_return ok;
  if (node_)
    for (const auto& [service, watched] : watched_) router_.unwatch(service);
  co_await scope_.close(ctx);
  co_await observers_.stop(ctx);
  // Two round trips through every core: afterwards no queued message refers to this object.
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < runtime_.size(); ++i) {
      co_await run_on(ctx, runtime_.core(i), [](Ctx&) -> Task<> { co_return ok; });
    }
  }
  co_return ok;
}

// ---- what the cores want

void Watches::want(Core& core, const ServiceId& service, bool hash) {
  runtime_.core(0).post(async_detail::once(
      [this, from = core.index(), service, hash] { watch(from, service, hash); }));
}

void Watches::leave(Core& core, const ServiceId& service, std::shared_ptr<const Snapshot> last) {
  take_apart(std::move(last));
  runtime_.core(0).post(
      async_detail::once([this, from = core.index(), service] { unwatch(from, service); }));
}

void Watches::watch(unsigned core, const ServiceId& service, bool hash) {
  if (stopped_) return;
  const auto [watched, fresh] = watch(service);
  const bool newly = !watched->wanted[core];
  watched->wanted[core] = true;
  if (hash && !std::exchange(watched->wants_hash, true)) {
    watched->news.hash = true;
    advance(watched);
  }
  if (fresh && node_) return router_.watch(service, *this);
  if (newly && watched->shown) send_to(*views_[core], watched->shown, nullptr);
}

/// A new service still has to be watched at the router, unless that is not started yet.
std::pair<Watches::Shared, bool> Watches::watch(const ServiceId& service) {
  Shared& watched = watched_[service];
  const bool fresh = !watched;
  if (fresh)
    watched = std::make_shared<Watched>(service, slots_, router_.may_forget(),
                                        config_.max_sick_percent, runtime_.size());
  return {watched, fresh};
}

void Watches::unwatch(unsigned core, const ServiceId& service) {
  const auto found = watched_.find(service);
  if (stopped_ || found == watched_.end()) return;
  found->second->wanted[core] = false;
  if (!found->second->is_needed()) give_up(found->second);
}

void Watches::on_sick(std::shared_ptr<const Instance> instance) {
  runtime_.core(0).post(async_detail::once([this, who = std::move(instance)] { take_sick(who); }));
}

void Watches::take_sick(std::shared_ptr<const Instance> instance) {
  const auto found = watched_.find(instance->id.service_id());
  if (stopped_ || found == watched_.end()) return;
  const Shared watched = found->second;
  watched->news.sick.push_back(std::move(instance));
  advance(watched);
}

bool Watches::Watched::is_needed() {
  std::erase_if(observers, [](const auto& one) { return !*one->alive; });
  return !observers.empty() || std::find(wanted.begin(), wanted.end(), true) != wanted.end();
}

/// It is no longer called. Callers drop their state for its instances.
void Watches::give_up(const Shared& unused) {
  // `unused` may be the one that is erased.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Shared watched = unused;
  watched_.erase(watched->service);
  if (node_) router_.unwatch(watched->service);
  watched->given_up = true;
  Instances gone;
  // Including doubtful ones: one of an edition that is not shown yet may have been dialled by a
  // probe.
  for (const Membership::Doubt& doubt : std::exchange(watched->doubtful, {}))
    gone.push_back(doubt.instance);
  (void)watched->doubts.try_send(0).is_ok();
  if (watched->shown)
    for (const Snapshot::Entry& entry : watched->shown->entries()) gone.push_back(entry.instance);
  if (gone.empty()) return;
  watched->wanted.assign(watched->wanted.size(), false);
  send(*watched, std::move(gone));
  take_apart(std::move(watched->shown));
}

Task<> Watches::sweep(Ctx& ctx) {
  for (;;) {
    co_await sleep(ctx, kSweepEvery);
    std::vector<Shared> unused;  // whose observers have left
    for (const auto& [service, watched] : watched_)
      if (!watched->is_needed()) unused.push_back(watched);
    for (const Shared& watched : unused) give_up(watched);
    for (CoreView* view : views_) view->core().post(async_detail::once([view] { view->sweep(); }));
  }
}

// ---- what the router says

void Watches::on_members(const ServiceId& service, std::vector<Member> members) {
  lists_.inc();
  if (!router_status_.is_ok()) log::info_limited("the router answers again");
  router_status_ = ok;
  const auto found = watched_.find(service);
  if (found == watched_.end()) return;
  const Shared watched = found->second;
  watched->size = std::max(watched->size, members.size());
  watched->news.list = std::move(members);
  advance(watched);
}

void Watches::on_unreachable(const ServiceId&, const Status& why) {
  unreachable_.inc();
  if (router_status_.is_ok())
    log::warn_limited("the router does not answer; keeping its last lists: {}", why.to_string());
  router_status_ = why;
}

/// Publishes the news to every core.
void Watches::advance(const Shared& watched) {
  watched->news.at = runtime_.core(0).now();
  if (watched->busy || watched->given_up || stopped_) return;
  auto work = [this, watched](Ctx& ctx) { return advance_elsewhere(ctx, watched); };
  if (watched->size <= kInstancesInline) {
    Roster::Edition edition = watched->roster->take(std::exchange(watched->news, {}));
    const bool table_due = watched->roster->table_due();
    watched->busy = table_due;  // before it is published
    if (table_due) scope_.spawn("hash slots", work);
    return show(watched, std::move(edition));
  }
  watched->busy = true;
  scope_.spawn("instances", work);
}

/// On a helper thread, until there are no more news.
Task<> Watches::advance_elsewhere(Ctx& ctx, Shared of) {
  Watched& watched = *of;
  while (!watched.news.empty() || watched.roster->table_due()) {
    // A cancelled wait leaves the work behind, so the work owns everything it uses.
    auto news = std::make_shared<Roster::News>(std::exchange(watched.news, {}));
    auto work = [roster = watched.roster, news] {
      return news->empty() ? roster->build_table() : roster->take(std::move(*news));
    };
    auto edition = co_await as_result(run_blocking(ctx, runtime_, work));
    if (watched.given_up) co_return ok;
    if (edition.is_ok()) {
      show(of, *std::move(edition));
      continue;
    }
    // The helpers are overloaded: they do it later. Newer news wait meanwhile.
    if (ctx.cancelled()) co_return std::move(edition).status();
    log::warn_limited("{}: its list waits for a helper thread: {}", watched.service.to_string(),
                      edition.status().text());
    co_await sleep(ctx, kHelperPause);
    watched.news.put_before(std::move(*news));
    watched.news.at = runtime_.core(0).now();
  }
  watched.busy = false;
  co_return ok;
}

void Watches::show(const Shared& of, Roster::Edition edition) {
  Watched& watched = *of;
  watched.size = edition.size;
  if (watched.news.list) watched.size = std::max(watched.size, watched.news.list->size());
  watched.doubtful = std::move(edition.doubtful);
  if (edition.snapshot) {
    changes_.inc();
    if (edition.snapshot->ignores_sick()) {
      sick_ignored_.inc();
      log::warn_limited(
          "{}: {} of {} instances are reported as sick: too many to be believed, so they still get "
          "calls",
          watched.service.to_string(), edition.snapshot->sick(),
          edition.snapshot->entries().size());
    }
    watched.shown = std::move(edition.snapshot);
    send(watched, std::move(edition.gone));
  }
  tell_observers(watched, edition);
  probe_doubtful(of);
}

// ---- observers

MemberWatch Watches::observe(const ServiceId& service, MemberObserver observer) {
  home_.demand("Mesh::observe");
  auto made = std::make_shared<Observer>();
  made->tell = std::move(observer);
  made->number = ++last_observer_;
  MemberWatch out(made->alive);
  if (stopped_) return out;
  const auto [watched, fresh] = watch(service);
  watched->observers.push_back(std::move(made));
  watched->news.observer = last_observer_;
  advance(watched);
  if (fresh && node_) router_.watch(service, *this);
  return out;
}

void Watches::tell_observers(Watched& watched, Roster::Edition& edition) {
  if (watched.observers.empty()) return;
  const auto events = std::make_shared<const MemberEvents>(std::move(edition.events));
  const auto present = std::make_shared<const MemberEvents>(std::move(edition.present));
  for (const auto& observer : watched.observers) {
    if (observer->greeted) {
      observers_.deliver(observer, events);
    } else if (observer->number <= edition.observer) {
      observer->greeted = true;
      observers_.deliver(observer, present);
    }
  }
}

// ---- what the cores are sent

/// Every core must learn of gone instances: it may still have connections to them.
void Watches::send(const Watched& watched, Instances gone) {
  const auto shared = gone.empty() ? nullptr : std::make_shared<const Instances>(std::move(gone));
  for (CoreView* view : views_) {
    const bool wanted = watched.wanted[view->core().index()];
    if (wanted || shared) send_to(*view, wanted ? watched.shown : nullptr, shared);
  }
}

void Watches::send_to(CoreView& view, std::shared_ptr<const Snapshot> snapshot,
                      std::shared_ptr<const Instances> gone) {
  if (!gone) gone = std::make_shared<const Instances>();
  if (view.core().index() == 0) return install(view, std::move(snapshot), *gone);
  view.core().post(async_detail::once(
      [this, &view, snapshot = std::move(snapshot), gone = std::move(gone)]() mutable {
        install(view, std::move(snapshot), *gone);
      }));
}

/// On the view's core.
void Watches::install(CoreView& view, std::shared_ptr<const Snapshot> snapshot,
                      const Instances& gone) {
  if (snapshot) take_apart(view.install(std::move(snapshot)));
  for (const auto& instance : gone) node_->caller().forget(*instance);
}

/// Release large snapshots on a helper thread, so that no core spends time destroying them.
void Watches::take_apart(std::shared_ptr<const Snapshot> snapshot) {
  if (snapshot && snapshot->entries().size() > kInstancesInline)
    (void)runtime_.submit_blocking([old = std::move(snapshot)] {});
}

// ---- probes

void Watches::probe_doubtful(const Shared& watched) {
  (void)watched->doubts.try_send(0).is_ok();  // full: it will look
  if (watched->probing || stopped_ || watched->doubtful.empty()) return;
  doubted_.inc();
  watched->probing = true;
  scope_.spawn("probe", [this, watched](Ctx& ctx) { return probe(ctx, watched); });
}

/// Probes instances that the registry dropped until they are listed again or gone.
Task<> Watches::probe(Ctx& ctx, Shared of) {
  Watched& watched = *of;
  log::info_limited("{}: {} instances are missing from the list, or sick; probing them",
                    watched.service.to_string(), watched.doubtful.size());
  while (!watched.doubtful.empty()) {
    const TimePoint now = ctx.core().now();
    TimePoint next = TimePoint::max();
    Instances due;
    for (auto& [instance, ask_at] : watched.doubtful) {
      if (watched.asked.contains(instance.get())) continue;
      if (ask_at <= now && watched.asked.size() < kProbesAtOnce) {
        watched.asked.insert(instance.get());
        due.push_back(instance);
        ask_at = now + Membership::kAskAgain;  // until its answer is judged
      }
      if (ask_at > now) next = std::min(next, ask_at);
    }
    if (!due.empty())
      scope_.spawn("probe", [this, of, some = std::move(due)](Ctx& own) mutable {
        return probe(own, of, std::move(some));
      });
    Ctx until(ctx, Deadline(next));
    auto told = co_await as_result(watched.doubts.receive(until));
    if (!told.is_ok() && ctx.cancelled()) co_return std::move(told).status();
  }
  watched.probing = false;
  co_return ok;
}

Task<> Watches::probe(Ctx& ctx, Shared of, Instances some) {
  Watched& watched = *of;
  std::vector<Task<Membership::Answer>> asked;
  asked.reserve(some.size());
  for (const auto& instance : some) asked.push_back(probe_.ask(ctx, instance));
  const std::vector<Membership::Answer> answers = co_await when_all(ctx.core(), std::move(asked));
  for (std::size_t i = 0; i < some.size(); ++i) {
    watched.asked.erase(some[i].get());
    watched.news.probes.emplace_back(std::move(some[i]), answers[i]);
  }
  advance(of);
  (void)watched.doubts.try_send(0).is_ok();
  co_return ok;
}

}  // namespace m3::mesh_detail
