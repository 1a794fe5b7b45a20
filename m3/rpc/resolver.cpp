// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/resolver.h"

#include <algorithm>
#include <random>

#include "m3/base/hash_slot.h"
#include "m3/base/member.h"

namespace m3 {

void RouteWaiters::add(RouteWaiter& waiter) noexcept {
  waiter.list_ = this;
  waiter.prev_ = tail_;
  waiter.next_ = nullptr;
  (tail_ ? tail_->next_ : head_) = &waiter;
  tail_ = &waiter;
}

void RouteWaiters::remove(RouteWaiter& waiter) noexcept {
  RouteWaiters* list = std::exchange(waiter.list_, nullptr);
  if (!list) return;
  (waiter.prev_ ? waiter.prev_->next_ : list->head_) = waiter.next_;
  (waiter.next_ ? waiter.next_->prev_ : list->tail_) = waiter.prev_;
}

void RouteWaiters::tell() {
  const Walk walk;
  while (RouteWaiter* waiter = head_) {
    remove(*waiter);
    waiter->on_route_change();
  }
}

Status StaticResolver::add(AppId id, HostPort address) {
  for (const auto& known : instances_)
    if (known->id == id)
      return Status(Errc::already_exists, "peer " + id.to_string() + " is listed twice");
  auto instance = std::make_shared<Instance>();
  instance->id = std::move(id);
  instance->address = std::move(address);
  instance->slot = static_cast<std::uint32_t>(instances_.size());
  const ServiceId service = instance->id.service_id();
  auto group = std::find_if(groups_.begin(), groups_.end(),
                            [&](const Group& g) { return g.service == service; });
  if (group == groups_.end()) {
    groups_.push_back({service, {}, {}});
    group = std::prev(groups_.end());
  }
  auto before =
      std::upper_bound(group->instances.begin(), group->instances.end(), instance,
                       [](const auto& a, const auto& b) { return instance_less(a->id, b->id); });
  const auto position = before - group->instances.begin();
  group->eligible.insert(group->eligible.begin() + position, instance.get());
  group->instances.insert(before, instance);
  instances_.push_back(std::move(instance));
  return ok;
}

Status StaticResolver::add(std::string_view text) {
  auto peer = parse_member(text);
  if (!peer.is_ok()) return std::move(peer).status();
  return add(std::move(peer->id), std::move(peer->address));
}

Status StaticResolver::add_address(HostPort address) {
  auto instance = std::make_shared<Instance>();
  instance->address = std::move(address);
  instance->slot = static_cast<std::uint32_t>(instances_.size());
  instances_.push_back(std::move(instance));
  return ok;
}

const StaticResolver::Group* StaticResolver::group_of(const ServiceId& service) const {
  for (const Group& group : groups_)
    if (group.service == service) return &group;
  return nullptr;
}

std::vector<std::shared_ptr<const Instance>> StaticResolver::all(Core&, const ServiceId& service) {
  const Group* group = group_of(service);
  return group ? group->instances : std::vector<std::shared_ptr<const Instance>>();
}

Pick StaticResolver::pick(const RouteQuery& query) {
  auto none = [](std::string text) {
    return Pick{nullptr, Status(Errc::unavailable, std::move(text)).not_executed(), {}, nullptr};
  };
  auto found = [](const Instance& instance) { return Pick{&instance, {}, {}, nullptr}; };
  if (query.mode == RouteMode::p2p) {
    for (const auto& instance : instances_)
      if (instance->id.empty() ? instance->address.to_string() == query.key
                               : instance->id.to_string() == query.key)
        return found(*instance);
    return none("app " + std::string(query.key) + " is not among the peers");
  }
  const Group* group = group_of(query.service);
  if (!group) return none("no instance of " + query.service.to_string() + " is among the peers");
  switch (query.mode) {
    case RouteMode::single:
      return found(*query.choice().first_of(group->eligible));
    case RouteMode::hash: {
      const Choice choice = query.choice();
      return found(pick_ranked(*group, query.key, &choice));
    }
    case RouteMode::actor:
      return found(pick_ranked(*group, query.key, nullptr));
    default:
      return found(pick_random(*group, query.choice()));
  }
}

std::span<const Instance* const> StaticResolver::eligible(Core&, const ServiceId& service) {
  const Group* group = group_of(service);
  return group ? std::span<const Instance* const>(group->eligible)
               : std::span<const Instance* const>();
}

/// The less busy of two callable ones; if neither is, the least bad of all.
const Instance& StaticResolver::pick_random(const Group& group, const Choice& choice) {
  const auto& all = group.eligible;
  if (all.size() == 1) return *all.front();
  auto draw = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(choice.peers.core().random());
  };
  const std::size_t first = draw(all.size());
  const Instance& a = *all[first];
  const Instance& b = *all[(first + 1 + draw(all.size() - 1)) % all.size()];
  if (const Instance* found = choice.better_of(a, b)) return *found;
  return *choice.calmest_of(all, first);
}

/// The highest in rank; without a choice whether it can be reached or not.
const Instance& StaticResolver::pick_ranked(const Group& group, std::string_view key,
                                            const Choice* choice) {
  const Instance* best = nullptr;
  std::pair<unsigned, std::uint64_t> best_rank;
  const std::uint16_t slot = hash_slot(key);
  for (const Instance* instance : group.eligible) {
    const std::pair now(choice ? choice->grade(*instance) : 0u,
                        slot_score(hash_of_id(instance->id.to_string()), slot));
    if (best && now <= best_rank) continue;
    best = instance;
    best_rank = now;
  }
  return *best;
}

}  // namespace m3
