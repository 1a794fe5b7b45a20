// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/async/ctx.h"
#include "m3/async/task.h"

namespace m3 {

class App;

/// A service that also derives from this takes part in its app's life cycle:
///
///   class Hello final : public hello::HelloService, public m3::ServiceHooks {};
///
/// All of them run on core 0, one after the other; those of a serial service on its core, and in
/// turn with its handlers. If one of the first two returns unavailable, it
/// is retried within start_timeout; any other error ends the start.
class ServiceHooks {
 public:
  /// The configuration is loaded (app.section<T>() has the [app] section); no calls yet.
  virtual Task<> on_init(Ctx&, App&) { co_return ok; }
  /// Every service is initialised; calls can be sent, but none are received yet.
  virtual Task<> on_start(Ctx&) { co_return ok; }
  /// No handler is running any more; calls can still be sent. Called after every on_start(), even a
  /// failed one.
  virtual Task<> on_stop(Ctx&) { co_return ok; }
  /// The configuration was read again and is good.
  virtual Task<> on_reload(Ctx&, App&) { co_return ok; }

 protected:
  ~ServiceHooks() = default;
};

}  // namespace m3
