// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/core_view.h"

#include <algorithm>
#include <utility>

#include "m3/mesh/detail/watches.h"

namespace m3::mesh_detail {

// ---- the services that this core calls

CoreView::View& CoreView::view(const ServiceId& service) {
  const auto at = reinterpret_cast<std::uintptr_t>(service.to_string().data());
  Recent& last = recent_[((at >> 4) ^ (at >> 12)) % recent_.size()];
  if (last.at != at || last.view->service != service) {
    View& found = look_up(service);  // may clear recent_
    last = {at, &found};
  }
  last.view->used = core_.now();
  return *last.view;
}

CoreView::View& CoreView::look_up(const ServiceId& service) {
  const auto known = by_service_.find(service.to_string());
  if (known != by_service_.end()) return *known->second;
  if (by_service_.size() >= room_) make_room();
  auto& made = by_service_[service.to_string()] = std::make_unique<View>();
  made->service = service;
  made->asked = core_.now();
  watches_.want(core_, service, false);
  return *made;
}

/// The instance of that id, if known on this core; null: unknown, or its service was never called.
const Instance* CoreView::named(std::string_view id) {
  const auto found = by_service_.find(id.substr(0, std::min(id.rfind('.'), id.size())));
  if (found == by_service_.end() || !found->second->snapshot) return nullptr;
  found->second->used = core_.now();
  return found->second->snapshot->named(id);
}

std::shared_ptr<const Snapshot> CoreView::install(std::shared_ptr<const Snapshot> snapshot) {
  const auto found = by_service_.find(snapshot->service().to_string());
  if (found == by_service_.end()) return snapshot;
  View& seen = *found->second;
  auto before = std::exchange(seen.snapshot, std::move(snapshot));
  seen.waiters.tell();
  return before;
}

// ---- those that it no longer calls

template <class Unused>
void CoreView::drop_if(Unused unused) {
  recent_.fill({});
  for (auto at = by_service_.begin(); at != by_service_.end();) {
    View& one = *at->second;
    if (!one.waiters.empty() || !unused(one)) {
      ++at;
      continue;
    }
    watches_.leave(core_, one.service, std::move(one.snapshot));
    at = by_service_.erase(at);
  }
}

void CoreView::sweep() {
  const TimePoint now = core_.now();
  drop_if([&](const View& one) { return one.used + (one.is_empty() ? kKeepEmpty : kKeep) < now; });
}

/// Drops half of the empty ones. When there are only a few of them, none is dropped.
void CoreView::make_room() {
  std::vector<TimePoint> used;
  for (const auto& [name, one] : by_service_)
    if (one->is_empty()) used.push_back(one->used);
  room_ = by_service_.size() - used.size() + kMostEmpty;
  if (used.size() < kMostEmpty) return;
  const auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
  std::nth_element(used.begin(), middle, used.end());
  std::size_t most = used.size() / 2;
  drop_if([&](const View& one) { return one.is_empty() && one.used <= *middle && most-- > 0; });
}

// ---- picks

Pick CoreView::pick(const RouteQuery& query) {
  View* seen = nullptr;
  if (query.mode == RouteMode::p2p) {
    if (const Instance* instance = named(query.key)) return {instance, {}, {}, nullptr};
    auto id = AppId::parse(query.key);
    if (!id.is_ok()) return {nullptr, std::move(id).status(), {}, nullptr};
    seen = &view(id->service_id());
  } else {
    seen = &view(query.service);
  }
  if (!seen->snapshot) return nothing_known(*seen);
  if (const Instance* instance = choose(*seen, query)) return {instance, {}, {}, nullptr};
  return nobody(*seen, query);
}

const Instance* CoreView::choose(View& view, const RouteQuery& query) {
  const Snapshot& now = *view.snapshot;
  switch (query.mode) {
    case RouteMode::p2p:
      return now.named(query.key);
    case RouteMode::hash:
    case RouteMode::actor:
      if (!now.has_hash() && !std::exchange(view.wants_hash, true))
        watches_.want(core_, view.service, true);
      return query.mode == RouteMode::actor ? now.owner(query.key)
                                            : now.hash(query.key, query.choice());
    case RouteMode::single:
      return now.single(query.choice());
    default:
      return now.random(query.choice());
  }
}

Pick CoreView::nothing_known(View& view) const {
  const Nanos left = config_.first_answer - (core_.now() - view.asked);
  return {nullptr,
          Status(Errc::unavailable, "no list of instances yet for " + view.service.to_string() +
                                        ": the router has not answered")
              .not_executed(),
          std::max(left, config_.wait_for_route), &view.waiters};
}

Pick CoreView::nobody(View& view, const RouteQuery& query) const {
  const bool by_name = query.mode == RouteMode::p2p;
  const std::string who = by_name ? "the app " + std::string(query.key) : view.service.to_string();
  const std::string why =
      view.snapshot->empty() || by_name
          ? "no instance of " + who + " is known"
          : "every instance of " + who + " is leaving or cordoned, or sick and does not answer";
  return {nullptr, Status(Errc::unavailable, why).not_executed(), config_.wait_for_route,
          &view.waiters};
}

std::vector<std::shared_ptr<const Instance>> CoreView::all(const ServiceId& service) {
  std::vector<std::shared_ptr<const Instance>> out;
  const View& seen = view(service);
  if (!seen.snapshot) return out;
  out.reserve(seen.snapshot->entries().size());
  for (const Snapshot::Entry& entry : seen.snapshot->entries()) out.push_back(entry.instance);
  return out;
}

std::span<const Instance* const> CoreView::eligible(const ServiceId& service) const {
  const auto found = by_service_.find(service.to_string());
  if (found == by_service_.end() || !found->second->snapshot) return {};
  return found->second->snapshot->eligible();
}

/// Only if the snapshot does not already have it as sick.
void CoreView::on_sick(const Instance& instance) const {
  const auto found = by_service_.find(instance.id.service_id().to_string());
  if (found == by_service_.end() || !found->second->snapshot) return;
  const Snapshot::Entry* entry = found->second->snapshot->entry(instance.id.to_string());
  if (entry && entry->instance.get() == &instance && entry->healthy)
    watches_.on_sick(entry->instance);
}

std::shared_ptr<const Snapshot> CoreView::snapshot(const ServiceId& service) {
  return view(service).snapshot;
}

}  // namespace m3::mesh_detail
