// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/redis/redis_client.h"

#include <utility>

#include "m3/async/timer.h"

namespace m3 {
namespace {

Reconciler::Options options_of(std::string name) {
  Reconciler::Options out;
  out.name = std::move(name);
  return out;
}

}  // namespace

RedisClient::RedisClient(Core& core, std::string name, RedisOptions options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      transport_(core, buffers_),
      reconciler_(core, *this, options_of(std::move(name))) {}

RedisClient::~RedisClient() = default;

Task<> RedisClient::connect(Ctx& ctx) {
  using Made = std::unique_ptr<RedisConnection>;
  auto made =
      co_await as_result(within(ctx, options_.connect_timeout, [this](Ctx& soon) -> Task<Made> {
        Made fresh =
            co_await RedisConnection::connect(soon, transport_, options_, events_.on_message);
        if (events_.prepare) co_await events_.prepare(soon, *fresh);
        co_return fresh;
      }));
  if (!made.is_ok()) {
    Status why = std::move(made).status();
    if (why == Errc::deadline_exceeded && !ctx.cancelled())
      why = Status(Errc::unavailable, options_.address.to_string() + ": no answer");
    co_return why;
  }
  connection_ = *std::move(made);
  co_return ok;
}

Task<> RedisClient::watch(Ctx& ctx) {
  co_await watch_by_pings(
      ctx, {options_.address.to_string(), options_.ping_interval, options_.ping_timeout,
            [this](Ctx& soon) { return connection_->lost(soon); },
            [this](Ctx& soon) { return connection_->ping(soon); }, [this] { return heard(); }});
  co_return ok;
}

Task<> RedisClient::disconnect(Ctx&, Status why) {
  if (!connection_) co_return ok;
  connection_->close(why);
  const std::uint64_t unsent = connection_->unsent();
  connection_.reset();
  if (unsent > 0 && events_.on_lost) events_.on_lost(unsent);
  co_return ok;
}

Task<> RedisClient::send(Ctx&, std::vector<Reconciler::Order> orders) {
  for (const Reconciler::Order& order : orders) {
    const auto answered = [this, number = order.number](const Status& status) {
      reconciler_.answered(number, status);
    };
    if (order.establish)
      connection_->subscribe(order.key, answered);
    else
      connection_->unsubscribe(order.key, answered);
  }
  co_return ok;
}

Task<> RedisClient::subscribe(Ctx& ctx, std::string channel) {
  reconciler_.want(channel);
  return reconciler_.settled(ctx, std::move(channel));
}

Task<RedisReply> RedisClient::command(Ctx& ctx, std::vector<std::string> words) {
  if (Status can = reconciler_.usable(); !can) co_return can;
  co_return co_await connection_->command(ctx, std::move(words));
}

Task<RedisReply> RedisClient::ask(Ctx& ctx, std::span<const std::string_view> words) {
  if (Status can = reconciler_.usable(); !can) co_return can;
  co_return co_await connection_->ask(ctx, words);
}

Status RedisClient::can_send(std::size_t more) const {
  if (Status can = reconciler_.usable(); !can) return can;
  return connection_->can_send(more);
}

Status RedisClient::send(std::span<const std::string_view> words, RedisConnection::Answered refused,
                         std::uint32_t weight) {
  if (Status can = reconciler_.usable(); !can) return can;
  return connection_->send(words, std::move(refused), weight);
}

}  // namespace m3
