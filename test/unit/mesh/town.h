// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mesh_fixture.h"

namespace mesh_test {

/// Tells the router's list once somebody asks for it.
inline m3::Task<> tell_when_watched(m3::Ctx& ctx, Caller& caller, std::vector<m3::Member> members) {
  while (!caller.router.is_watched(kRole)) co_await m3::sleep(ctx, 1ms);
  caller.router.tell(kRole, std::move(members));
  co_return m3::ok;
}

/// The caller knows them.
inline m3::Task<> know(m3::Ctx& ctx, Caller& caller, std::vector<m3::Member> members) {
  (void)caller.mesh().snapshot(ctx.core(), kRole);
  co_await tell_when_watched(ctx, caller, std::move(members));
  co_return m3::ok;
}

/// A caller and instances 1 to n, known to it.
struct Town {
  Town(m3::testing::SimRuntime& sim, int n) : caller(sim, wires) {
    for (int i = 1; i <= n; ++i) {
      list.push_back(member(i));
      servers.push_back(std::make_unique<Server>(sim, wires, list.back()));
    }
  }
  m3::Task<> end(m3::Ctx& ctx) {
    co_await caller.stop(ctx);
    for (auto& server : servers) co_await server->die(ctx);
    co_return m3::ok;
  }
  /// 100 calls, 10 ms apart. Returns how many were answered.
  m3::Task<int> answered(m3::Ctx& ctx, const m3::Route& route) {
    int out = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string who = co_await caller.ask(ctx, route, std::to_string(i));
      out += who.starts_with("dev.w.role.");
      co_await m3::sleep(ctx, 10ms);
    }
    co_return out;
  }
  Wires wires;
  Caller caller;
  std::vector<m3::Member> list;
  std::vector<std::unique_ptr<Server>> servers;
};

}  // namespace mesh_test
