// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/resolver.h"

#include <string>

#include "m3/base/hash_slot.h"
#include "m3/testing/co_test.h"

CO_TEST("rpc: a fixed list hashes a key to the instance that docs/reference/routing.md names") {
  m3::StaticResolver list;
  for (const char* peer :
       {"dev.w.echo.1@10.0.0.1:1", "dev.w.echo.2@10.0.0.2:1", "dev.w.echo.3@10.0.0.3:1"})
    CO_REQUIRE(list.add(peer));
  m3::Peers peers(ctx.core());
  const auto service = *m3::ServiceId::parse("dev.w.echo");
  for (int i = 0; i < 200; ++i) {
    const std::string key = std::to_string(i);
    std::string best;
    std::uint64_t best_score = 0;
    for (const auto& instance : list.instances()) {
      const std::string id = instance->id.to_string();
      const std::uint64_t score = m3::slot_score(m3::hash_of_id(id), m3::hash_slot(key));
      if (best.empty() || score > best_score) {
        best = id;
        best_score = score;
      }
    }
    for (const m3::RouteMode mode : {m3::RouteMode::hash, m3::RouteMode::actor}) {
      const m3::Pick pick = list.pick({service, mode, key, m3::kNoSlot, peers});
      CO_REQUIRE(pick.instance);
      CHECK(pick.instance->id.to_string() == best);
    }
  }
}
