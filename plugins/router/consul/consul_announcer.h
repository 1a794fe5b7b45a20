// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "m3/async/channel.h"
#include "m3/obs/metric.h"
#include "m3/plugin/reconciler.h"
#include "plugins/client/consul/consul_client.h"
#include "plugins/router/consul/consul_member.h"

namespace m3 {

/// Keeps one instance registered at an agent, whatever happens to that agent: a wish of a
/// Reconciler. Checks every few seconds, sends a heartbeat if the instance has no admin port, and
/// registers it again when it is gone. Core-local; `client` must outlive it.
class ConsulAnnouncer final : private Reconciler::Link {
 public:
  ConsulAnnouncer(Core& core, ConsulClient& client, ConsulCheckTimes times, Nanos withdraw_limit,
                  MetricRegistry& metrics);
  ConsulAnnouncer(const ConsulAnnouncer&) = delete;
  ConsulAnnouncer& operator=(const ConsulAnnouncer&) = delete;
  ~ConsulAnnouncer();

  /// As Reconciler's.
  Task<> start(Ctx& ctx) { return reconciler_.start(ctx); }
  Task<> stop(Ctx& ctx) { return reconciler_.stop(ctx); }

  /// As Router's. already_exists: a later instance has the id. permission_denied names the
  /// permission that the token needs. After an error the previous announcement stays valid.
  Task<> announce(Ctx& ctx, Member self);
  Task<> withdraw();

 private:
  class Busy;
  // The link: any agent that answers.
  Task<> connect(Ctx& ctx) override { return ask_leader(ctx); }
  Task<> watch(Ctx& ctx) override;
  Task<> send(Ctx& ctx, std::vector<Reconciler::Order> orders) override;
  Task<> disconnect(Ctx&, Status) override { co_return ok; }

  Task<> establish(Ctx& ctx, std::uint64_t version);
  Task<> say(Ctx& ctx, Member self, bool first);
  Task<> settle(Ctx& ctx, const Member& self);
  Task<> put(Ctx& ctx, std::optional<std::size_t> agent, const Member& self);
  Task<bool> wait_until_seen(Ctx& ctx, const Member& self);
  Task<> wait_until_gone(Ctx& ctx, const Member& self);
  Task<ConsulResponse> list(Ctx& ctx, const Member& self, std::uint64_t index);
  Task<> remove(Ctx& ctx, const Member& self);
  Task<> remove(Ctx& ctx, std::size_t agent, const Member& self);
  Task<> ask_leader(Ctx& ctx);
  Task<> look(Ctx& ctx);
  Task<> look_after(Ctx& ctx, Member self);
  Task<> pass(Ctx& ctx, std::size_t agent, const Member& self);
  Task<> tidy(Ctx& ctx, std::size_t agent, const Member& self);

  Core& core_;
  ConsulClient& client_;
  const ConsulCheckTimes times_;
  const Nanos withdraw_limit_;
  std::optional<Member> wanted_;
  std::optional<Member> said_;   // the entry that agents may still have after wanted_ is gone
  std::uint64_t version_ = 0;    // of the wish, as last registered
  std::set<std::size_t> told_;   // agents that may list it
  Channel<char> turn_{1};        // one place: orders, checks and withdrawing take turns
  Channel<char> announcing_{1};  // likewise, announcements
  TimePoint tidied_{};
  bool replaced_ = false;  // logged that a later instance has the id
  Counter again_;
  Reconciler reconciler_;
};

}  // namespace m3
