// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/async/ctx.h"
#include "m3/async/task.h"

namespace m3 {

class App;

/// A service that also derives from this takes part in its app's life:
///
///   class Hello final : public hello::HelloService, public m3::ServiceHooks {};
///
/// All of it happens on core 0, one after the other. Of the first two, unavailable is tried again
/// within start_timeout, and any other error ends the start.
class ServiceHooks {
 public:
  /// The configuration is there (app.section<T>() has the [app] section); nobody calls yet.
  virtual Task<> on_init(Ctx&, App&) { co_return ok; }
  /// Every service is initialised; calls can go out; none comes in yet.
  virtual Task<> on_start(Ctx&) { co_return ok; }
  /// No handler runs any more; calls can still go out. It follows
  /// every on_start(), also one that failed.
  virtual Task<> on_stop(Ctx&) { co_return ok; }
  /// The configuration was read again and is good.
  virtual Task<> on_reload(Ctx&, App&) { co_return ok; }

 protected:
  ~ServiceHooks() = default;
};

}  // namespace m3
