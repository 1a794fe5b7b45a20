// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/redis/redis_client.h"

#include <utility>

#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

/// Kept subscribed, so that a connection for channels stays one, and asked for again as its ping.
constexpr const char* kKeepChannel = "m3.keep";

bool worth_trying_again(Errc code) {
  return code == Errc::unavailable || code == Errc::deadline_exceeded ||
         code == Errc::resource_exhausted;
}

}  // namespace

RedisClient::RedisClient(Core& core, std::string name, RedisOptions options, Events events)
    : core_(core),
      name_(std::move(name)),
      options_(std::move(options)),
      events_(std::move(events)),
      status_(Errc::unavailable, name_ + " is not started"),
      scope_(core) {}

RedisClient::~RedisClient() = default;

Task<RedisClient::Made> RedisClient::connect(Ctx& ctx) {
  auto made = co_await as_result(within(ctx, options_.connect_timeout, [this](Ctx& soon) {
    return RedisConnection::connect(soon, options_, events_.on_message);
  }));
  if (made.is_ok()) co_return *std::move(made);
  Status why = std::move(made).status();
  if (why == Errc::deadline_exceeded && !ctx.cancelled())
    why = Status(Errc::unavailable, options_.address.to_string() + ": no answer");
  co_return why;
}

Task<> RedisClient::start(Ctx& ctx) {
  for (bool told = false;;) {
    auto made = co_await as_result(connect(ctx));
    if (made.is_ok()) {
      connection_ = *std::move(made);
      break;
    }
    Status why = std::move(made).status();
    if (ctx.cancelled() || !worth_trying_again(why.code()))
      co_return std::move(why).add_context(name_);
    if (!std::exchange(told, true)) log::warn_limited("{}: waiting for {}", name_, why.text());
    auto slept = co_await as_result(sleep(ctx, backoff_.next(core_.random()())));
    if (!slept.is_ok()) co_return std::move(why).add_context(name_);
  }
  if (events_.on_message) {
    co_await connection_->subscribe(ctx, kKeepChannel);
  }
  status_ = ok;
  backoff_.reset();
  scope_.spawn("redis", [this](Ctx& own) { return keep(own); });
  co_return ok;
}

Task<> RedisClient::stop(Ctx& ctx) {
  status_ = Status(Errc::unavailable, name_ + " is stopped").not_executed();
  if (connection_) connection_->close(status_);
  co_await scope_.close(ctx);
  connection_.reset();
  co_return ok;
}

Task<> RedisClient::keep(Ctx& ctx) {
  for (;;) {
    Status why = (co_await as_result(watch(ctx))).status();
    if (ctx.cancelled()) co_return ok;
    status_ = connection_->alive() ? why : connection_->why();
    log::warn_limited("{}: {}", name_, status_.to_string());
    connection_->close(status_);
    while (connection_->alive()) co_await sleep(ctx, std::chrono::milliseconds(1));
    co_await again(ctx);
    log::info_limited("{} is connected again", name_);
  }
}

/// Ends with the reason when the connection is lost or silent.
Task<> RedisClient::watch(Ctx& ctx) {
  for (;;) {
    auto lost = co_await as_result(
        within(ctx, options_.ping_interval, [this](Ctx& soon) { return connection_->lost(soon); }));
    if (lost.is_ok()) co_return Status(connection_->why());
    if (ctx.cancelled()) co_return std::move(lost).status();
    auto answered = co_await as_result(
        within(ctx, options_.ping_timeout, [this](Ctx& soon) { return ping(soon); }));
    if (answered.is_ok()) continue;
    if (answered.status() == Errc::deadline_exceeded)
      co_return Status(Errc::unavailable, options_.address.to_string() + " is silent");
    co_return std::move(answered).status();
  }
}

Task<> RedisClient::ping(Ctx& ctx) {
  if (events_.on_message) return connection_->subscribe(ctx, kKeepChannel);
  struct Plain {
    static Task<> ask(Ctx& inner, RedisConnection& connection) {
      Task<RedisReply> asked = connection.command(inner, {"PING"});
      co_await std::move(asked);
      co_return ok;
    }
  };
  return Plain::ask(ctx, *connection_);
}

/// What comes before anybody else uses a new connection.
Task<> RedisClient::greet(Ctx& ctx) {
  if (events_.on_message) {
    co_await connection_->subscribe(ctx, kKeepChannel);
  }
  if (events_.on_reconnected) {
    co_await events_.on_reconnected(ctx, *connection_);
  }
  co_return ok;
}

/// A new connection, whatever it takes.
Task<> RedisClient::again(Ctx& ctx) {
  for (;;) {
    co_await sleep(ctx, backoff_.next(core_.random()()));
    auto made = co_await as_result(connect(ctx));
    if (!made.is_ok()) {
      if (status_ != made.status().code())
        log::warn_limited("{}: {}", name_, made.status().to_string());
      status_ = std::move(made).status();
      continue;
    }
    // Nobody waits for the one before: it is lost.
    connection_ = *std::move(made);
    // A server that took the connection and then fell silent would keep us here for ever.
    Status ready = (co_await as_result(within(ctx, options_.connect_timeout, [this](Ctx& soon) {
                     return greet(soon);
                   }))).status();
    if (!ready) {
      if (ready == Errc::deadline_exceeded)
        ready = Status(Errc::unavailable, options_.address.to_string() + ": no answer");
      status_ = std::move(ready);
      connection_->close(status_);
      continue;
    }
    status_ = ok;
    backoff_.reset();
    co_return ok;
  }
}

Status RedisClient::absent() const {
  return Status(Errc::unavailable, name_ + ": " + status_.text()).not_executed();
}

Task<RedisReply> RedisClient::command(Ctx& ctx, std::vector<std::string> words) {
  if (!status_) co_return absent();
  co_return co_await connection_->command(ctx, std::move(words));
}

Status RedisClient::send(std::span<const std::string_view> words) {
  return status_ ? connection_->send(words) : absent();
}

}  // namespace m3
