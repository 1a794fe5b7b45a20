// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>
#include <vector>

#include "m3/base/member.h"
#include "m3/plugin/plugin.h"

namespace m3 {

/// Finds apps and makes this one known. Chosen by `[router.NAME]`; started in stage mesh.
/// Everything runs on core 0, including the callbacks.
///
/// A router does not decide who is alive: it reports its source's lists whenever they may have
/// changed, and the mesh judges them (m3/mesh).
class Router : public Plugin {
 public:
  static constexpr std::string_view kKind = "router";

  /// Receives the instances of one service. Outlives its watch.
  class Watcher {
   public:
    /// The whole list, in any order; it may be empty. It includes instances whose check fails, as
    /// not healthy: being sick and being dropped are two things.
    virtual void on_members(const ServiceId& service, std::vector<Member> members) = 0;
    /// The source does not answer and is retried with backoff; its last lists stay valid.
    virtual void on_unreachable(const ServiceId& service, const Status& why) = 0;

   protected:
    ~Watcher() = default;
  };

  /// False: knows only the apps of this process.
  virtual bool reaches_other_processes() const = 0;

  /// False: announcing has no effect on others, whose lists come from their configuration.
  virtual bool tells_others() const { return true; }
  /// False: the list comes from a configuration, not from a registry that can lose data; the mesh
  /// takes it as it is.
  virtual bool may_forget() const { return true; }
  /// Returns when others can see `self`; from then on the router keeps it visible, whatever happens
  /// to its source, until withdraw(). A second call with the same id replaces the first.
  virtual Task<> announce(Ctx& ctx, Member self) = 0;
  /// Returns when others no longer see it, or at once if nothing is announced.
  virtual Task<> withdraw(Ctx& ctx) = 0;

  /// `watcher` is called soon, and again on each change, until unwatch() or stop(). Only one watch
  /// per service: a second one is a bug (asserted).
  virtual void watch(const ServiceId& service, Watcher& watcher) = 0;
  virtual void unwatch(const ServiceId& service) = 0;

  /// A single query: the instances of a service, or of the whole environment when `service` is
  /// empty, including those whose checks fail.
  virtual Task<std::vector<Member>> members(Ctx& ctx, ServiceId service) = 0;
};

}  // namespace m3
