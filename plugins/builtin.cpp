// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/builtin.h"

#include "m3/plugin/registry.h"
#include "plugins/broker/local/local_broker.h"
#include "plugins/broker/nats/nats_broker.h"
#include "plugins/broker/redis/redis_broker.h"
#include "plugins/database/memory/memory_database.h"
#include "plugins/database/redis/redis_database.h"
#include "plugins/database/sqlite/sqlite_database.h"
#include "plugins/router/consul/consul_router.h"
#include "plugins/router/local/local_router.h"
#include "plugins/router/static/static_router.h"

namespace m3 {

void add_builtin(Registry& registry) {
  registry.add<LocalBroker>();
  registry.add<NatsBroker>();
  registry.add<RedisBroker>();
  registry.add<MemoryDatabase>();
  registry.add<RedisDatabase>();
  registry.add<SqliteDatabase>();
  registry.add<ConsulRouter>();
  registry.add<LocalRouter>();
  registry.add<StaticRouter>();
  registry.set_default("router", "local");
  registry.set_default("broker", "local", "router");
}

}  // namespace m3
