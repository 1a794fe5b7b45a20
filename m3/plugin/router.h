// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>
#include <vector>

#include "m3/base/member.h"
#include "m3/plugin/plugin.h"

namespace m3 {

/// Finds apps and lets them be found. Chosen by `[router.NAME]`; started in stage mesh. All of it
/// runs on core 0, and the callbacks too.
///
/// A router does not decide who is alive: it says what its source says, again whenever that may
/// have changed, and the mesh judges (m3/mesh).
class Router : public Plugin {
 public:
  static constexpr std::string_view kKind = "router";

  /// Told of one service's instances. Outlives its watch.
  class Watcher {
   public:
    /// The whole list, in any order; an empty one is an answer too. Instances whose check fails
    /// are in it, as not healthy: being sick and being forgotten are two things.
    virtual void on_members(const ServiceId& service, std::vector<Member> members) = 0;
    /// The source does not answer, and is asked again with backoff; what it said last stands.
    virtual void on_unreachable(const ServiceId& service, const Status& why) = 0;

   protected:
    ~Watcher() = default;
  };

  /// False: knows only the apps of this process.
  virtual bool reaches_other_processes() const = 0;

  /// False: what is announced is nobody's concern, others have it in their configuration.
  virtual bool tells_others() const { return true; }
  /// False: its list is somebody's word (a configuration), and no registry that may have lost its
  /// memory; the mesh takes it as it is.
  virtual bool may_forget() const { return true; }
  /// Ends when others can see `self`; from then on the router keeps it visible, whatever becomes of
  /// its source, until withdraw(). Again with the same id: replaces what was said.
  virtual Task<> announce(Ctx& ctx, Member self) = 0;
  /// Ends when others no longer see it. Nothing announced: nothing to do.
  virtual Task<> withdraw(Ctx& ctx) = 0;

  /// `watcher` hears of the service soon, and again on each change, until unwatch() or stop(). One
  /// watch for each service: a second is a bug (asserted).
  virtual void watch(const ServiceId& service, Watcher& watcher) = 0;
  virtual void unwatch(const ServiceId& service) = 0;

  /// Asked once, now: the instances of a service, or all of the environment when `service` is
  /// empty; also those that are not passing their checks.
  virtual Task<std::vector<Member>> members(Ctx& ctx, ServiceId service) = 0;
};

}  // namespace m3
