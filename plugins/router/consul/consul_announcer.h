// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <set>
#include <string>

#include "m3/async/backoff.h"
#include "m3/async/channel.h"
#include "m3/async/scope.h"
#include "m3/obs/metric.h"
#include "plugins/client/consul/consul_client.h"
#include "plugins/router/consul/consul_member.h"

namespace m3 {

/// Keeps one instance registered at an agent, whatever becomes of that agent: looks every few
/// seconds, says that it lives where nobody asks it, and registers it again when it is gone.
/// Core-local; `client` outlives it.
class ConsulAnnouncer {
 public:
  ConsulAnnouncer(Core& core, ConsulClient& client, ConsulCheckTimes times, Nanos withdraw_limit,
                  MetricRegistry& metrics);
  ConsulAnnouncer(const ConsulAnnouncer&) = delete;
  ConsulAnnouncer& operator=(const ConsulAnnouncer&) = delete;
  ~ConsulAnnouncer();

  void start();
  Task<> stop(Ctx& ctx);

  /// As Router's. already_exists: a later instance has the id. permission_denied says what the
  /// token must be allowed to do.
  Task<> announce(Ctx& ctx, Member self);
  Task<> withdraw();

 private:
  class Busy;
  Task<> say(Ctx& ctx, Member self, bool first);
  Task<> put(Ctx& ctx, std::optional<std::size_t> agent, const Member& self);
  Task<bool> wait_until_seen(Ctx& ctx, const Member& self);
  Task<> wait_until_gone(Ctx& ctx, const Member& self);
  Task<ConsulResponse> list(Ctx& ctx, const Member& self, std::uint64_t index);
  Task<> remove(Ctx& ctx, const Member& self);
  Task<> remove(Ctx& ctx, std::size_t agent, const Member& self);
  Task<> keep(Ctx& ctx);
  Task<> look(Ctx& ctx);
  Task<> look_after(Ctx& ctx, Member self);
  Task<> pass(Ctx& ctx, std::size_t agent, const Member& self);
  Task<> tidy(Ctx& ctx, std::size_t agent, const Member& self);

  Core& core_;
  ConsulClient& client_;
  const ConsulCheckTimes times_;
  const Nanos withdraw_limit_;
  std::optional<Member> wanted_;
  std::optional<Member> said_;  // what the agents may still have after wanted_ is gone
  std::set<std::size_t> told_;  // agents that may list it
  Channel<char> turn_{1};       // holds one: announcing, withdrawing and looking take turns
  TimePoint tidied_{};
  bool replaced_ = false;  // told the log that a later instance has the id
  bool lost_ = false;      // ... that no agent answers
  Backoff backoff_;
  Counter again_;
  Scope scope_;
};

}  // namespace m3
