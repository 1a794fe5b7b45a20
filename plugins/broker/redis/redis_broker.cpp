// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/redis/redis_broker.h"

#include <array>

#include "m3/obs/log.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

Status good_address(const std::string& text) { return HostPort::parse_remote(text).status(); }

RedisOptions options_of(const RedisBroker::Config& config) {
  RedisOptions out;
  out.address = *HostPort::parse(config.address);  // checked with the file
  out.user = config.user;
  out.password = config.password;
  out.max_pending = config.max_pending.bytes;
  out.max_value = config.max_message.bytes;
  out.connect_timeout = config.connect_timeout;
  out.ping_interval = config.ping_interval;
  return out;
}

}  // namespace

void RedisBroker::Config::describe(Schema<Config>& s) {
  s.add("address", &Config::address).doc("host:port of the server").check(good_address);
  s.add("user", &Config::user).doc("user of Redis's access control list; empty: the default user");
  s.add("password", &Config::password)
      .doc("\"${REDIS_PASSWORD}\"; empty: none is sent, or with a user an empty one, for `nopass`")
      .secret();
  s.add("max_pending", &Config::max_pending)
      .doc(
          "largest backlog of unsent data, publishing beyond it fails; and largest backlog of "
          "received messages per core, those beyond it are dropped and counted")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("max_message", &Config::max_message)
      .doc(
          "largest message, the same in every app: publishing a larger one fails, and a larger one "
          "that arrives is dropped and counted as bad")
      .range(ByteSize{64u << 10}, ByteSize{512u << 20});
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("time limit for connecting and authenticating")
      .range(10ms, 1min);
  s.add("ping_interval", &Config::ping_interval)
      .doc("ping the server after this much silence")
      .range(100ms, 1min);
}

RedisBroker::RedisBroker(Env& env, const Config& config)
    : core_(env.runtime().core(0)),
      max_pending_(config.max_pending.bytes),
      max_message_(config.max_message.bytes),
      speaks_(core_, "broker.redis", options_of(config),
              {{}, {}, [this](std::uint64_t notifies) { tell_lost(notifies); }}),
      hears_(core_, "broker.redis", options_of(config),
             {[this](std::string_view topic, std::string_view payload) {
                subscribers_.tell(topic, payload);
              },
              [this](const std::string& topic) { subscribers_.tell_resubscribed(topic); },
              {}}) {}

RedisBroker::~RedisBroker() = default;

std::size_t RedisBroker::max_payload() const { return max_message_; }

Task<> RedisBroker::start(Ctx& ctx) {
  co_await speaks_.start(ctx);
  co_await hears_.start(ctx);
  co_return ok;
}

Task<> RedisBroker::stop(Ctx& ctx) {
  co_await hears_.stop(ctx);
  co_await speaks_.stop(ctx);
  co_return ok;
}

Task<> RedisBroker::subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) {
  const Subscribers::Asking asking(subscribers_, topic, subscriber);
  co_await hears_.subscribe(ctx, std::move(topic));
  co_return ok;
}

void RedisBroker::unsubscribe(std::string_view topic, Subscriber& subscriber) {
  if (subscribers_.remove(topic, subscriber)) hears_.unsubscribe(topic);
}

Status RedisBroker::can_publish(std::size_t waiting) const { return speaks_.can_send(waiting); }

Status RedisBroker::publish(std::string_view topic, std::string_view payload,
                            std::uint32_t notifies) {
  if (payload.size() > max_message_)
    return Status(Errc::invalid_argument, "a message of " + std::to_string(payload.size()) +
                                              " bytes is over broker.redis.max_message");
  if (Status may = refused_.check(topic, core_.now()); !may) return may;
  const std::array<std::string_view, 3> words{"PUBLISH", topic, payload};
  return speaks_.send(
      words, [this, name = std::string(topic)](const Status& status) { refuse(name, status); },
      notifies);
}

void RedisBroker::refuse(const std::string& topic, const Status& why) {
  // A server that is only full or busy may accept the next message.
  const bool lasting = why == Errc::permission_denied;
  if (!lasting || refused_.add(topic, core_.read_clock()))
    log::warn_limited(
        "broker.redis: messages published to {} are lost, the server refuses them: {}", topic,
        why.to_string());
  tell_refused(topic, why);
}

}  // namespace m3
