// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/app_id.h"

namespace m3 {

/// Sends notifies to many apps at once, and joins this app to topics. One per app; called on every
/// core. The mesh implements it (m3/mesh/broadcasts.h).
class Broadcaster {
 public:
  /// Every instance of `service`. `notify` is a frame as a connection carries it (m3/wire/frame.h)
  /// with a deadline of 0. Returns when it is sent; unavailable, resource_exhausted: it is not.
  virtual Task<> to_all(Ctx& ctx, const ServiceId& service, std::string notify) = 0;
  /// To the apps that joined the topic of that world.
  virtual Task<> to_topic(Ctx& ctx, const WorldId& world, std::string topic,
                          std::string notify) = 0;
  /// True: to_all() reaches no app, and the caller sends to each instance itself.
  virtual bool needs_fan_out() const = 0;

  /// Returns when messages to the topic arrive here; before the app has started, at once. A topic
  /// that is joined twice is joined once, and each join() ends as the first does. When it fails
  /// (unavailable, permission_denied, resource_exhausted) the topic stays joined until leave(): its
  /// messages arrive as soon as possible, and another join() reports whether they do. cancelled: it
  /// was left.
  virtual Task<> join(Ctx& ctx, const WorldId& world, std::string topic) = 0;
  virtual Task<> leave(Ctx& ctx, const WorldId& world, std::string topic) = 0;

 protected:
  ~Broadcaster() = default;
};

}  // namespace m3
