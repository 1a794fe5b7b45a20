// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/static/static_router.h"
#include "m3/async/once.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <unordered_set>

namespace m3 {

namespace {

Status good_peers(const std::vector<std::string>& peers) {
  std::unordered_set<std::string> ids;
  for (const std::string& peer : peers) {
    auto member = parse_member(peer);
    if (!member.is_ok()) return std::move(member).status();
    if (!ids.insert(member->id.to_string()).second)
      return Status(Errc::invalid_argument, "peer " + member->id.to_string() + " is listed twice");
  }
  return ok;
}

}  // namespace

void StaticRouter::Config::describe(Schema<Config>& s) {
  s.add("peers", &Config::peers)
      .doc("instances that this app may call, each env.world.func.ins@host:port")
      .check(good_peers)
      .reloadable();
}

StaticRouter::StaticRouter(Env& env, Config config) : core_(env.runtime().core(0)) { take(config); }

StaticRouter::~StaticRouter() {
  assert(watches_.empty() && "a StaticRouter was destroyed before stop()");
}

void StaticRouter::take(const Config& config) {
  peers_.clear();
  peers_.reserve(config.peers.size());
  for (const std::string& peer : config.peers)
    if (auto member = parse_member(peer); member.is_ok()) peers_.push_back(*std::move(member));
}

Task<> StaticRouter::stop(Ctx&) {
  watches_.clear();
  co_return ok;
}

Task<> StaticRouter::announce(Ctx&, Member self) {
  self_ = std::move(self);
  for (const Watch& watch : watches_)
    if (watch.service == self_.id.service_id()) tell(watch);
  co_return ok;
}

Task<> StaticRouter::withdraw(Ctx&) {
  self_ = Member();
  co_return ok;
}

std::vector<Member> StaticRouter::of(const ServiceId& service) const {
  std::vector<Member> out;
  const auto wanted = [&](const Member& member) {
    return !member.id.empty() && (service.empty() || member.id.service_id() == service);
  };
  if (wanted(self_)) out.push_back(self_);
  for (const Member& peer : peers_)
    if (wanted(peer) && peer.id != self_.id) out.push_back(peer);
  return out;
}

void StaticRouter::tell(const Watch& watch) {
  watch.watcher->on_members(watch.service, of(watch.service));
}

void StaticRouter::watch(const ServiceId& service, Watcher& watcher) {
  watches_.push_back({service, &watcher});
  // Deferred to the core's queue: a watcher is not called inside watch().
  core_.ready(async_detail::once([this, service] {
    for (const Watch& watch : watches_)
      if (watch.service == service) return watch.watcher->on_members(service, of(service));
  }));
}

void StaticRouter::unwatch(const ServiceId& service) {
  std::erase_if(watches_, [&](const Watch& watch) { return watch.service == service; });
}

Task<std::vector<Member>> StaticRouter::members(Ctx&, ServiceId service) { co_return of(service); }

Task<> StaticRouter::reload(Ctx&, Config config) {
  take(config);
  for (const Watch& watch : watches_) tell(watch);
  co_return ok;
}

}  // namespace m3
