// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/mesh.h"

#include <algorithm>
#include <cassert>

#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/obs/log.h"
#include "m3/rpc/node.h"

namespace m3 {

using mesh_detail::Membership;
using mesh_detail::Roster;
using mesh_detail::SlotPool;
using mesh_detail::Snapshot;

namespace {

/// Of more instances than that the work is a helper thread's: about 0.3 ms.
constexpr std::size_t kInstancesInline = 512;
/// Until helper threads that had too much to do are asked again.
constexpr Nanos kHelperPause = std::chrono::milliseconds(100);
/// How long a probed instance has to say that it is leaving.
constexpr Nanos kSayGoodbye = std::chrono::milliseconds(100);

constexpr std::size_t kProbesAtOnce = 256;  // of one service

}  // namespace

/// From a core to core 0: this service is called here.
struct Mesh::Wish final : async_detail::Runnable {
  Wish(Mesh& owner, ServiceId wanted, bool by_hash)
      : Runnable(&Wish::fire), mesh(owner), service(std::move(wanted)), hash(by_hash) {}
  static void fire(Runnable& work) {
    std::unique_ptr<Wish> self(static_cast<Wish*>(&work));
    self->mesh.watch(self->service, self->hash);
  }
  Mesh& mesh;
  ServiceId service;
  bool hash;
};

/// From core 0 to a core: the service's instances have changed.
struct Mesh::Install final : async_detail::Runnable {
  Install(Mesh& owner, Core& where, std::shared_ptr<const Snapshot> made,
          std::shared_ptr<const Instances> left)
      : Runnable(&Install::fire),
        mesh(owner),
        core(where),
        snapshot(std::move(made)),
        gone(std::move(left)) {}
  static void fire(Runnable& work) {
    std::unique_ptr<Install> self(static_cast<Install*>(&work));
    self->mesh.install(self->core, std::move(self->snapshot), *self->gone);
  }
  Mesh& mesh;
  Core& core;
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<const Instances> gone;
};

Mesh::Mesh(Runtime& runtime, Router& router, MeshConfig config, MetricRegistry& metrics)
    : runtime_(runtime),
      router_(router),
      config_(config),
      slots_(std::make_shared<SlotPool>()),
      views_(runtime.size()),
      lists_(metrics.counter("m3_mesh_lists_total", "Lists of instances that the router gave")),
      unreachable_(
          metrics.counter("m3_mesh_router_unreachable_total", "Times the router had no answer")),
      doubted_(metrics.counter(
          "m3_mesh_lists_doubted_total",
          "Lists that lacked instances or called them sick, so that those were asked")),
      changes_(metrics.counter("m3_mesh_changes_total", "Changes of a service's instances")),
      sick_ignored_(metrics.counter("m3_mesh_sick_ignored_total",
                                    "Changes with so many sick instances that these went on to "
                                    "get calls")),
      scope_(runtime.core(0)) {}

Mesh::~Mesh() = default;

void Mesh::start(RpcNode& node) {
  node_ = &node;
  for (const auto& [service, hash] : std::exchange(early_, {})) watch(service, hash);
}

Task<> Mesh::stop(Ctx& ctx) {
  if (std::exchange(stopped_, true)) co_return ok;
  for (const auto& [service, watched] : watched_) router_.unwatch(service);
  co_await scope_.close(ctx);
  // Messages between the cores that refer to this are gone when these have come back.
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < runtime_.size(); ++i) {
      co_await run_on(ctx, runtime_.core(i), [](Ctx&) -> Task<> { co_return ok; });
    }
  }
  co_return ok;
}

// ---- on every core

Mesh::View& Mesh::view(Core& core, const ServiceId& service) {
  const auto at = reinterpret_cast<std::uintptr_t>(service.to_string().data());
  auto& recent = views_[core.index()].recent;
  CoreViews::Recent& last = recent[((at >> 4) ^ (at >> 12)) % recent.size()];
  if (last.at != at || last.view->service != service) last = {at, &look_up(core, service)};
  return *last.view;
}

Mesh::View& Mesh::look_up(Core& core, const ServiceId& service) {
  auto& views = views_[core.index()].by_service;
  auto& found = views[service.to_string()];
  if (found) return *found;
  found = std::make_unique<View>();
  found->service = service;
  found->asked = core.now();
  ask(core, service, false);
  return *found;
}

/// Among those known on this core; null: not, or its service was never called.
const Instance* Mesh::named(Core& core, std::string_view id) {
  const auto& views = views_[core.index()].by_service;
  const auto found = views.find(id.substr(0, std::min(id.rfind('.'), id.size())));
  if (found == views.end() || !found->second->snapshot) return nullptr;
  return found->second->snapshot->named(id);
}

void Mesh::ask(Core&, const ServiceId& service, bool hash) {
  runtime_.core(0).post(*new Wish(*this, service, hash));
}

Pick Mesh::pick(const RouteQuery& query) {
  Core& core = query.peers.core();
  View* found = nullptr;
  if (query.mode == RouteMode::p2p) {
    if (const Instance* instance = named(core, query.key)) return {instance, {}, {}, nullptr};
    auto id = AppId::parse(query.key);
    if (!id.is_ok()) return {nullptr, std::move(id).status(), {}, nullptr};
    found = &view(core, id->service_id());
  } else {
    found = &view(core, query.service);
  }
  View& seen = *found;
  const Snapshot* now = seen.snapshot.get();
  if (!now) {
    const Nanos left = config_.first_answer - (core.now() - seen.asked);
    return {nullptr,
            Status(Errc::unavailable, "nothing is known of " + seen.service.to_string() +
                                          " yet: the router has not answered")
                .not_executed(),
            std::max(left, config_.wait_for_route), &seen.waiters};
  }
  const Instance* instance = nullptr;
  switch (query.mode) {
    case RouteMode::p2p:
      instance = now->named(query.key);
      break;
    case RouteMode::hash:
    case RouteMode::actor:
      if (!now->has_hash() && !std::exchange(seen.wants_hash, true)) ask(core, seen.service, true);
      instance = query.mode == RouteMode::actor ? now->owner(query.key)
                                                : now->hash(query.key, query.choice());
      break;
    case RouteMode::single:
      instance = now->single(query.choice());
      break;
    default:
      instance = now->random(query.choice());
      break;
  }
  if (instance) return {instance, {}, {}, nullptr};
  const std::string who =
      query.mode == RouteMode::p2p ? "the app " + std::string(query.key) : seen.service.to_string();
  const std::string why =
      now->entries().empty() || query.mode == RouteMode::p2p
          ? "no instance of " + who + " is known"
          : "every instance of " + who + " is leaving or cordoned, or sick and silent";
  return {nullptr, Status(Errc::unavailable, why).not_executed(), config_.wait_for_route,
          &seen.waiters};
}

std::vector<std::shared_ptr<const Instance>> Mesh::all(Core& core, const ServiceId& service) {
  std::vector<std::shared_ptr<const Instance>> out;
  const View& seen = view(core, service);
  if (!seen.snapshot) return out;
  out.reserve(seen.snapshot->entries().size());
  for (const Snapshot::Entry& entry : seen.snapshot->entries()) out.push_back(entry.instance);
  return out;
}

std::span<const Instance* const> Mesh::eligible(Core& core, const ServiceId& service) {
  const auto& views = views_[core.index()].by_service;
  const auto found = views.find(service.to_string());
  if (found == views.end() || !found->second->snapshot) return {};
  return found->second->snapshot->eligible();
}

std::shared_ptr<const Snapshot> Mesh::snapshot(Core& core, const ServiceId& service) {
  return view(core, service).snapshot;
}

void Mesh::install(Core& core, std::shared_ptr<const Snapshot> snapshot, const Instances& gone) {
  View& seen = view(core, snapshot->service());
  auto before = std::exchange(seen.snapshot, std::move(snapshot));
  if (node_)
    for (const auto& instance : gone) node_->caller().forget(*instance);
  // Whoever lets go of a large one last takes it apart: not a core.
  if (before && before->entries().size() > kInstancesInline)
    (void)runtime_.submit_blocking([old = std::move(before)] {});
  seen.waiters.tell();
}

// ---- on core 0

void Mesh::watch(const ServiceId& service, bool hash) {
  if (stopped_) return;
  if (!node_) {
    early_.emplace_back(service, hash);
    return;
  }
  auto& watched = watched_[service];
  const bool fresh = !watched;
  if (fresh)
    watched =
        std::make_unique<Watched>(service, slots_, router_.may_forget(), config_.max_sick_percent);
  if (hash && !std::exchange(watched->wants_hash, true)) {
    watched->news.hash = true;
    advance(service, *watched);
  }
  if (fresh) return router_.watch(service, *this);
  // Another core begins to call it.
  if (!hash && watched->shown) send(watched->shown, {});
}

void Mesh::on_members(const ServiceId& service, std::vector<Member> members) {
  lists_.inc();
  if (!router_status_.is_ok()) log::info_limited("the router answers again");
  router_status_ = ok;
  const auto found = watched_.find(service);
  if (found == watched_.end()) return;
  Watched& watched = *found->second;
  watched.size = std::max(watched.size, members.size());
  watched.news.list = std::move(members);
  advance(service, watched);
}

void Mesh::on_unreachable(const ServiceId&, const Status& why) {
  unreachable_.inc();
  if (router_status_.is_ok())
    log::warn_limited("the router does not answer, what it said last stands: {}", why.to_string());
  router_status_ = why;
}

/// The news become what every core sees.
void Mesh::advance(const ServiceId& service, Watched& watched) {
  watched.news.at = runtime_.core(0).now();
  if (watched.busy || stopped_) return;
  auto work = [this, service](Ctx& ctx) { return advance_elsewhere(ctx, service); };
  if (watched.size <= kInstancesInline) {
    Roster::Edition edition = watched.roster->take(std::exchange(watched.news, {}));
    const bool table_due = watched.roster->table_due();
    watched.busy = table_due;  // before anybody hears of it
    if (table_due) scope_.spawn("hash slots", work);
    return show(service, watched, std::move(edition));
  }
  watched.busy = true;
  scope_.spawn("instances", work);
}

/// On a helper thread, until there are no more news.
Task<> Mesh::advance_elsewhere(Ctx& ctx, ServiceId service) {
  Watched& watched = *watched_.at(service);
  while (!watched.news.empty() || watched.roster->table_due()) {
    // A cancelled wait leaves the work behind: what it uses is its own.
    auto news = std::make_shared<Roster::News>(std::exchange(watched.news, {}));
    auto work = [roster = watched.roster, news] {
      return news->empty() ? roster->build_table() : roster->take(std::move(*news));
    };
    auto edition = co_await as_result(run_blocking(ctx, runtime_, work));
    if (edition.is_ok()) {
      show(service, watched, *std::move(edition));
      continue;
    }
    // The helpers have too much to do: it is theirs later. Newer news wait meanwhile.
    if (ctx.cancelled()) co_return std::move(edition).status();
    log::warn_limited("{}: its list waits for a helper thread: {}", service.to_string(),
                      edition.status().text());
    co_await sleep(ctx, kHelperPause);
    if (!watched.news.list) watched.news.list = std::move(news->list);
    watched.news.probes.insert(watched.news.probes.begin(), news->probes.begin(),
                               news->probes.end());
    watched.news.hash |= news->hash;
    watched.news.at = runtime_.core(0).now();
  }
  watched.busy = false;
  co_return ok;
}

void Mesh::show(const ServiceId& service, Watched& watched, Roster::Edition edition) {
  watched.size = edition.size;
  if (watched.news.list) watched.size = std::max(watched.size, watched.news.list->size());
  watched.doubtful = std::move(edition.doubtful);
  if (edition.snapshot) {
    changes_.inc();
    if (edition.snapshot->ignores_sick()) {
      sick_ignored_.inc();
      log::warn_limited(
          "{}: {} of {} instances are said to be sick: too many to be believed, they go on to get "
          "calls",
          service.to_string(), edition.snapshot->sick(), edition.snapshot->entries().size());
    }
    watched.shown = edition.snapshot;
    send(std::move(edition.snapshot), std::move(edition.gone));
  }
  probe_doubtful(service, watched);
}

void Mesh::send(std::shared_ptr<const Snapshot> snapshot, Instances gone) {
  const auto shared = std::make_shared<const Instances>(std::move(gone));
  for (unsigned i = 1; i < runtime_.size(); ++i)
    runtime_.core(i).post(*new Install(*this, runtime_.core(i), snapshot, shared));
  install(runtime_.core(0), std::move(snapshot), *shared);
}

void Mesh::probe_doubtful(const ServiceId& service, Watched& watched) {
  (void)watched.doubts.try_send(0).is_ok();  // full: it will look
  if (watched.probing || stopped_ || watched.doubtful.empty()) return;
  doubted_.inc();
  watched.probing = true;
  scope_.spawn("probe", [this, service](Ctx& ctx) { return probe(ctx, service); });
}

/// Has those asked that the registry dropped, until it lists them again or they are gone.
Task<> Mesh::probe(Ctx& ctx, ServiceId service) {
  Watched& watched = *watched_.at(service);
  log::info_limited("{}: {} instances are missing from the list, or sick; asking them",
                    service.to_string(), watched.doubtful.size());
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
      scope_.spawn("probe", [this, service, some = std::move(due)](Ctx& own) mutable {
        return probe(own, service, std::move(some));
      });
    Ctx until(ctx, Deadline(next));
    auto told = co_await as_result(watched.doubts.receive(until));
    if (!told.is_ok() && ctx.cancelled()) co_return std::move(told).status();
  }
  watched.probing = false;
  co_return ok;
}

Task<> Mesh::probe(Ctx& ctx, ServiceId service, Instances some) {
  Watched& watched = *watched_.at(service);
  std::vector<Task<bool>> asked;
  asked.reserve(some.size());
  for (const auto& instance : some) asked.push_back(answers(ctx, instance));
  const std::vector<bool> there = co_await when_all(ctx.core(), std::move(asked));
  for (std::size_t i = 0; i < some.size(); ++i) {
    watched.asked.erase(some[i].get());
    watched.news.probes.emplace_back(std::move(some[i]), there[i]);
  }
  advance(service, watched);
  (void)watched.doubts.try_send(0).is_ok();
  co_return ok;
}

Task<bool> Mesh::answers(Ctx& ctx, std::shared_ptr<const Instance> instance) {
  if (!node_) co_return false;
  Caller& caller = node_->caller();
  const TimePoint asked = ctx.core().now();
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + config_.probe_timeout));
  auto generation = co_await as_result(caller.reach(soon, instance));
  if (!generation.is_ok()) co_return false;
  if (instance->generation && *generation != instance->generation) co_return false;
  // A connection that was there already proves nothing.
  caller.ping(*instance);
  do {
    auto slept = co_await as_result(sleep(soon, kSayGoodbye));
    if (!slept.is_ok() || caller.peers().is_out(*instance)) co_return false;
  } while (!caller.heard_since(*instance, asked));
  co_return true;
}

Task<std::uint64_t> Mesh::generation_at(Ctx& ctx, Member member) {
  const auto instance = make_instance(member, slots_);
  Caller& caller = node_->caller();
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + config_.probe_timeout));
  auto generation = co_await as_result(caller.reach(soon, instance));
  caller.forget(*instance);
  co_return generation;
}

}  // namespace m3
