// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/redis/redis_broker.h"

#include <algorithm>
#include <array>

namespace m3 {
namespace {

using namespace std::chrono_literals;

/// Redis's own limit of a string.
constexpr std::size_t kMostBytes = 512u << 20;

Status good_address(const std::string& text) { return HostPort::parse(text).status(); }

RedisOptions options_of(const RedisBroker::Config& config) {
  RedisOptions out;
  out.address = *HostPort::parse(config.address);  // checked with the file
  out.user = config.user;
  out.password = config.password;
  out.max_pending = config.max_pending.bytes;
  out.connect_timeout = config.connect_timeout;
  out.ping_interval = config.ping_interval;
  return out;
}

}  // namespace

void RedisBroker::Config::describe(Schema<Config>& s) {
  s.add("address", &Config::address).doc("host:port of the server").check(good_address);
  s.add("user", &Config::user).doc("of Redis's access control list; empty: the default user");
  s.add("password", &Config::password).doc("\"${REDIS_PASSWORD}\"; empty: none is sent").secret();
  s.add("max_pending", &Config::max_pending)
      .doc("what may wait to be sent; publishing more fails")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("until the server lets us in")
      .range(10ms, 1min);
  s.add("ping_interval", &Config::ping_interval)
      .doc("a server that is silent for that long is asked whether it lives")
      .range(100ms, 1min);
}

RedisBroker::RedisBroker(Env& env, const Config& config)
    : speaks_(env.runtime().core(0), "broker.redis", options_of(config)),
      hears_(
          env.runtime().core(0), "broker.redis", options_of(config),
          {[this](std::string_view topic, std::string_view payload) { on_message(topic, payload); },
           [this](Ctx& ctx, RedisConnection& connection) {
             return subscribe_again(ctx, connection);
           }}) {}

RedisBroker::~RedisBroker() = default;

std::size_t RedisBroker::max_payload() const { return kMostBytes; }

Task<> RedisBroker::start(Ctx& ctx) {
  co_await speaks_.start(ctx);
  Status heard = (co_await as_result(hears_.start(ctx))).status();
  if (heard) co_return ok;
  Ctx patient(ctx.core());
  co_await speaks_.stop(patient);
  co_return heard;
}

Task<> RedisBroker::stop(Ctx&) {
  Ctx patient(Core::current());
  co_await hears_.stop(patient);
  co_await speaks_.stop(patient);
  co_return ok;
}

Task<> RedisBroker::subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) {
  auto& told = topics_[topic];
  if (std::find(told.begin(), told.end(), &subscriber) == told.end()) told.push_back(&subscriber);
  RedisConnection* connection = hears_.connection();
  if (!hears_.status() || !connection)
    co_return Status(Errc::unavailable, "broker.redis: " + hears_.status().text());
  co_await connection->subscribe(ctx, std::move(topic));
  co_return ok;
}

void RedisBroker::unsubscribe(std::string_view topic, Subscriber& subscriber) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return;
  const auto one = std::find(at->second.begin(), at->second.end(), &subscriber);
  if (one == at->second.end()) return;
  at->second.erase(one);
  if (!at->second.empty()) return;
  topics_.erase(at);
  if (RedisConnection* connection = hears_.connection()) connection->unsubscribe(topic);
}

Status RedisBroker::can_publish(std::size_t waiting) const { return speaks_.can_send(waiting); }

Status RedisBroker::publish(std::string_view topic, std::string_view payload) {
  if (payload.size() > kMostBytes)
    return Status(Errc::invalid_argument, "a message of " + std::to_string(payload.size()) +
                                              " bytes is over Redis's limit");
  const std::array<std::string_view, 3> words{"PUBLISH", topic, payload};
  return speaks_.send(words);
}

void RedisBroker::on_message(std::string_view topic, std::string_view payload) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return;
  // A subscriber may come or go while it is told.
  told_ = at->second;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (i > 0) {
      const auto now = topics_.find(topic);
      if (now == topics_.end()) return;
      const auto& all = now->second;
      if (std::find(all.begin(), all.end(), told_[i]) == all.end()) continue;
    }
    told_[i]->on_message(topic, payload);
  }
}

Task<> RedisBroker::subscribe_again(Ctx& ctx, RedisConnection& connection) {
  std::vector<std::string> topics;
  topics.reserve(topics_.size());
  for (const auto& [topic, subscribers] : topics_) topics.push_back(topic);
  for (const std::string& topic : topics) {
    co_await connection.subscribe(ctx, topic);
    const auto now = topics_.find(topic);
    if (now == topics_.end()) continue;
    const std::vector<Subscriber*> told = now->second;
    for (Subscriber* subscriber : told) subscriber->on_resubscribed(topic);
  }
  co_return ok;
}

}  // namespace m3
