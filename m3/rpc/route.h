// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include "m3/base/app_id.h"
#include "m3/base/route_mode.h"

namespace m3 {

class Broadcast;

/// Selects the instance of a call. Default: as the .proto says. Created by m3::to.
class Route {
 public:
  Route() = default;
  template <std::same_as<Broadcast> ToMany>
  Route(ToMany) {  // NOLINT(google-explicit-constructor): it is there to be refused
    static_assert(!std::same_as<ToMany, Broadcast>,
                  "m3::to::all() and m3::to::topic() are for rpcs with `notify: true`: this one "
                  "answers, and an answer comes from one instance");
  }
  Route(RouteMode mode, std::string key) : mode_(mode), key_(std::move(key)) {}
  RouteMode mode() const noexcept { return mode_; }
  /// Hash key, app id or actor id, depending on mode().
  const std::string& key() const noexcept { return key_; }
  /// True: the key is the request's field that the .proto names as route_key.
  bool key_from_request() const noexcept { return key_from_request_; }

  static Route hash_by_request() {
    Route route(RouteMode::hash, "");
    route.key_from_request_ = true;
    return route;
  }

 private:
  RouteMode mode_ = RouteMode::none;
  bool key_from_request_ = false;
  std::string key_;
};

/// Several receivers at once: for notify methods only.
class Broadcast {
 public:
  Broadcast(RouteMode mode, std::string topic) : mode_(mode), topic_(std::move(topic)) {}
  RouteMode mode() const noexcept { return mode_; }
  const std::string& topic() const noexcept { return topic_; }

 private:
  RouteMode mode_;
  std::string topic_;
};

/// The receivers of a notify: one, selected by a Route, or many.
class NotifyRoute : public Route {
 public:
  NotifyRoute() = default;
  NotifyRoute(Route route) : Route(std::move(route)) {}  // NOLINT(google-explicit-constructor)
  NotifyRoute(Broadcast to)
      : Route(to.mode(), to.topic()) {}  // NOLINT(google-explicit-constructor)
};

namespace to {

/// Any instance.
inline Route random() { return Route(RouteMode::random, ""); }
/// The same instance for the same key, while membership is stable.
inline Route hash(std::string key) { return Route(RouteMode::hash, std::move(key)); }
/// By the request's own route_key; an error when its .proto names none.
inline Route hash() { return Route::hash_by_request(); }
/// The app `env.world.func.ins` (P2P); also of another world or func.
inline Route app(std::string id) { return Route(RouteMode::p2p, std::move(id)); }
inline Route app(const AppId& id) { return Route(RouteMode::p2p, id.to_string()); }
/// The lowest instance.
inline Route single() { return Route(RouteMode::single, ""); }
/// The owner of the actor.
inline Route actor(std::string id) { return Route(RouteMode::actor, std::move(id)); }
/// Every instance (BroadCast).
inline Broadcast all() { return Broadcast(RouteMode::broadcast, ""); }
/// Every instance that joined the topic (MultiCast).
inline Broadcast topic(std::string name) {
  return Broadcast(RouteMode::multicast, std::move(name));
}

}  // namespace to
}  // namespace m3
