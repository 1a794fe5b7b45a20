// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/local/local_router.h"
#include "m3/async/once.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <mutex>

namespace m3 {

/// One watch of one app. `watcher` belongs to the app's core 0.
struct LocalRouter::Watch {
  Watch(ServiceId wanted, Core& home, Watcher& told)
      : service(std::move(wanted)), core(home), watcher(&told) {}
  const ServiceId service;
  Core& core;
  Watcher* watcher;  // null: it has ended
};

/// The data shared by the apps.
class LocalRouter::List : public std::enable_shared_from_this<List> {
 public:
  void put(Member member) {
    std::lock_guard lock(mutex_);
    const ServiceId service = member.id.service_id();
    members_[member.id] = std::move(member);
    tell(service);
  }
  void take_away(const AppId& id) {
    std::lock_guard lock(mutex_);
    if (members_.erase(id)) tell(id.service_id());
  }
  void add(const std::shared_ptr<Watch>& watch) {
    std::lock_guard lock(mutex_);
    watches_.push_back(watch);
    tell(watch);
  }
  void remove(const std::shared_ptr<Watch>& watch) {
    std::lock_guard lock(mutex_);
    std::erase(watches_, watch);
  }
  std::vector<Member> members(const ServiceId& service) {
    std::lock_guard lock(mutex_);
    return of(service);
  }

 private:
  std::vector<Member> of(const ServiceId& service) const {
    std::vector<Member> out;
    for (const auto& [id, member] : members_)
      if (service.empty() || id.service_id() == service) out.push_back(member);
    return out;
  }
  void tell(const ServiceId& service) {
    for (const auto& watch : watches_)
      if (watch->service == service) tell(watch);
  }
  /// The watcher's core fetches the list when it runs: two of these may overtake each other, and
  /// the later one must not deliver an older list.
  void tell(const std::shared_ptr<Watch>& watch) {
    watch->core.post(async_detail::once([watch, list = shared_from_this()] {
      if (watch->watcher) watch->watcher->on_members(watch->service, list->members(watch->service));
    }));
  }

  std::mutex mutex_;
  std::map<AppId, Member> members_;
  std::vector<std::shared_ptr<Watch>> watches_;
};

LocalRouter::LocalRouter(Env& env, const Config&)
    : core_(env.runtime().core(0)), list_(env.shared().get<List>()) {}

LocalRouter::~LocalRouter() {
  assert(watches_.empty() && "a LocalRouter was destroyed before stop()");
}

Task<> LocalRouter::stop(Ctx& ctx) {
  while (!watches_.empty()) unwatch(watches_.back()->service);
  return withdraw(ctx);
}

Task<> LocalRouter::announce(Ctx&, Member self) {
  self_ = self.id;
  list_->put(std::move(self));
  co_return ok;
}

Task<> LocalRouter::withdraw(Ctx&) {
  if (!self_.empty()) list_->take_away(std::exchange(self_, AppId()));
  co_return ok;
}

void LocalRouter::watch(const ServiceId& service, Watcher& watcher) {
  watches_.push_back(std::make_shared<Watch>(service, core_, watcher));
  list_->add(watches_.back());
}

void LocalRouter::unwatch(const ServiceId& service) {
  const auto at = std::find_if(watches_.begin(), watches_.end(),
                               [&](const auto& watch) { return watch->service == service; });
  if (at == watches_.end()) return;
  list_->remove(*at);
  (*at)->watcher = nullptr;
  watches_.erase(at);
}

Task<std::vector<Member>> LocalRouter::members(Ctx&, ServiceId service) {
  co_return list_->members(service);
}

}  // namespace m3
