// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/redis/redis_database.h"

#include <utility>

#include "plugins/database/redis/redis_rows.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;
using redis_detail::RedisRows;

Status good_address(const std::string& text) { return HostPort::parse_remote(text).status(); }
Status good_prefix(const std::string& text) {
  if (text.find_first_of("{}") == std::string::npos) return ok;
  return Status(Errc::invalid_argument, "braces mark what a cluster places keys by");
}

RedisRows::Options options_of(const RedisDatabase::Config& config) {
  RedisRows::Options out;
  out.redis.address = *HostPort::parse(config.address);  // checked with the file
  out.redis.user = config.user;
  out.redis.password = config.password;
  out.redis.max_pending = config.max_pending.bytes;
  out.redis.connect_timeout = config.connect_timeout;
  out.redis.ping_interval = config.ping_interval;
  out.prefix = config.prefix;
  out.retry_time = config.retry_time;
  out.max_pending = config.max_pending.bytes;
  return out;
}

}  // namespace

void RedisDatabase::Config::describe(Schema<Config>& s) {
  s.add("address", &Config::address).doc("host:port of the server").check(good_address);
  s.add("user", &Config::user).doc("user of Redis's access control list; empty: the default user");
  s.add("password", &Config::password)
      .doc("\"${REDIS_PASSWORD}\"; empty: none is sent, or with a user an empty one, for `nopass`")
      .secret();
  s.add("prefix", &Config::prefix)
      .doc("prefix of every key; worlds that share a server need different ones")
      .check(good_prefix);
  s.add("retry_time", &Config::retry_time)
      .doc(
          "how long a request that has not run is retried while the server is away, within its "
          "deadline; then it fails with unavailable")
      .range(0ms, 1min);
  s.add("max_pending", &Config::max_pending)
      .doc("largest backlog of unanswered requests per core; requests beyond it fail")
      .range(ByteSize{1u << 20}, ByteSize{std::uint64_t{4} << 30});
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("time limit for connecting and authenticating")
      .range(10ms, 1min);
  s.add("ping_interval", &Config::ping_interval)
      .doc("ping the server after this much silence")
      .range(100ms, 1min);
}

RedisDatabase::RedisDatabase(Env& env, const Config& config) {
  for (unsigned i = 0; i < env.runtime().size(); ++i)
    rows_.push_back(
        std::make_unique<RedisRows>(env.runtime().core(i), options_of(config), env.metrics()));
}

RedisDatabase::~RedisDatabase() = default;

RedisRows& RedisDatabase::here(const Ctx& ctx) { return *rows_.at(ctx.core().index()); }

void RedisDatabase::steps(Steps& steps) {
  steps.add_on_each_core(
      kStage, "", [this](Ctx& ctx) { return here(ctx).start(ctx); },
      [this](Ctx& ctx) { return here(ctx).stop(ctx); });
}

Task<RowAnswer> RedisDatabase::run(Ctx& ctx, RowRequest request) {
  return here(ctx).run(ctx, std::move(request));
}

Task<RowPage> RedisDatabase::scan_rows(Ctx& ctx, RowScan scan) {
  return here(ctx).scan(ctx, std::move(scan));
}

}  // namespace m3
