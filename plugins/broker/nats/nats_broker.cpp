// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_broker.h"

#include <algorithm>
#include <utility>

#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kPingTimeout = 2s;

Status good_servers(const std::vector<std::string>& servers) {
  if (servers.empty()) return Status(Errc::invalid_argument, "name at least one server");
  for (const std::string& server : servers)
    if (auto parsed = HostPort::parse(server); !parsed.is_ok()) return std::move(parsed).status();
  return ok;
}

bool worth_trying_again(Errc code) {
  return code == Errc::unavailable || code == Errc::deadline_exceeded ||
         code == Errc::resource_exhausted;
}

}  // namespace

void NatsBroker::Config::describe(Schema<Config>& s) {
  s.add("servers", &Config::servers)
      .doc("host:port of each; the first that answers is used")
      .check(good_servers);
  s.add("user", &Config::user).doc("with its password, where the servers ask for one");
  s.add("password", &Config::password).doc("\"${NATS_PASSWORD}\"").secret();
  s.add("token", &Config::token)
      .doc("\"${NATS_TOKEN}\", where the servers ask for that instead")
      .secret();
  s.add("max_pending", &Config::max_pending)
      .doc("what may wait to be sent; publishing more fails")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("until a server lets us in, for each")
      .range(10ms, 1min);
  s.add("ping_interval", &Config::ping_interval)
      .doc("a server that is silent for that long is asked whether it lives")
      .range(100ms, 1min);
}

NatsBroker::NatsBroker(Env& env, Config config)
    : core_(env.runtime().core(0)),
      config_(std::move(config)),
      name_(env.app_id().to_string()),
      status_(Errc::unavailable, "not started"),
      scope_(core_) {}

NatsBroker::~NatsBroker() = default;

Task<> NatsBroker::connect_to(Ctx& ctx, const std::string& server) {
  const NatsLogin login{name_, config_.user, config_.password, config_.token};
  auto made = co_await as_result(within(ctx, config_.connect_timeout, [&](Ctx& soon) {
    return NatsConnection::connect(
        soon, *HostPort::parse(server), login, config_.max_pending.bytes,
        [this](std::uint64_t sid, std::string_view payload) { on_message(sid, payload); });
  }));
  if (!made.is_ok()) {
    Status why = std::move(made).status();
    if (why == Errc::deadline_exceeded && !ctx.cancelled())
      why = Status(Errc::unavailable, server + ": no answer");
    co_return why;
  }
  connection_ = *std::move(made);
  max_payload_ = connection_->info().max_payload;
  co_return ok;
}

/// To the first server that lets us in; each is asked once.
Task<> NatsBroker::connect(Ctx& ctx) {
  Status why;
  for (std::size_t i = 0; i < config_.servers.size(); ++i) {
    const std::string& server = config_.servers[next_server_ % config_.servers.size()];
    Status status = (co_await as_result(connect_to(ctx, server))).status();
    if (status) co_return ok;
    ++next_server_;
    if (why.is_ok() || worth_trying_again(why.code())) why = std::move(status);
    if (ctx.cancelled()) break;
  }
  co_return why;
}

Task<> NatsBroker::start(Ctx& ctx) {
  for (bool told = false;;) {
    Status why = (co_await as_result(connect(ctx))).status();
    if (why) break;
    if (ctx.cancelled() || !worth_trying_again(why.code()))
      co_return std::move(why).add_context("broker.nats");
    if (!std::exchange(told, true)) log::warn_limited("broker.nats: waiting for {}", why.text());
    auto slept = co_await as_result(sleep(ctx, backoff_.next(core_.random()())));
    if (!slept.is_ok()) co_return std::move(why).add_context("broker.nats");
  }
  status_ = ok;
  backoff_.reset();
  scope_.spawn("nats", [this](Ctx& own) { return keep(own); });
  co_return ok;
}

Task<> NatsBroker::stop(Ctx&) {
  Ctx patient(core_);
  status_ = Status(Errc::unavailable, "stopped");
  co_await scope_.close(patient);
  if (connection_) {
    co_await connection_->stop(patient);
    connection_.reset();
  }
  co_return ok;
}

Task<> NatsBroker::keep(Ctx& ctx) {
  for (;;) {
    Status why = (co_await as_result(watch(ctx))).status();
    if (ctx.cancelled()) co_return ok;
    status_ = why;
    log::warn_limited("broker.nats: {}", why.to_string());
    Ctx patient(core_);
    co_await connection_->stop(patient);
    ++next_server_;
    co_await again(ctx);
    log::info_limited("broker.nats is connected again");
  }
}

/// Ends with the reason when the connection is lost or silent.
Task<> NatsBroker::watch(Ctx& ctx) {
  for (;;) {
    auto lost = co_await as_result(
        within(ctx, config_.ping_interval, [this](Ctx& soon) { return connection_->lost(soon); }));
    if (lost.is_ok()) co_return Status(connection_->why());
    if (ctx.cancelled()) co_return std::move(lost).status();
    auto answered = co_await as_result(
        within(ctx, kPingTimeout, [this](Ctx& soon) { return connection_->flush(soon); }));
    if (answered.is_ok()) continue;
    if (answered.status() == Errc::deadline_exceeded)
      co_return Status(Errc::unavailable, "the server is silent");
    co_return std::move(answered).status();
  }
}

/// A new connection with all subscriptions, whatever it takes.
Task<> NatsBroker::again(Ctx& ctx) {
  for (;;) {
    co_await sleep(ctx, backoff_.next(core_.random()()));
    Status why = (co_await as_result(connect(ctx))).status();
    if (!why) {
      if (status_ != why.code()) log::warn_limited("broker.nats: {}", why.to_string());
      status_ = std::move(why);
      continue;
    }
    for (const auto& [topic, wanted] : topics_) connection_->subscribe(topic, wanted.sid);
    auto flushed = co_await as_result(
        within(ctx, kPingTimeout, [this](Ctx& soon) { return connection_->flush(soon); }));
    if (!flushed.is_ok()) {
      status_ = Status(Errc::unavailable, flushed.status().text());
      Ctx patient(core_);
      co_await connection_->stop(patient);
      continue;
    }
    status_ = ok;
    backoff_.reset();
    const auto told = topics_;
    for (const auto& [topic, wanted] : told)
      for (Subscriber* subscriber : wanted.subscribers) subscriber->on_resubscribed(topic);
    co_return ok;
  }
}

Task<> NatsBroker::subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) {
  Topic& wanted = topics_[topic];
  if (wanted.sid == 0) {
    wanted.sid = ++last_sid_;
    by_sid_[wanted.sid] = topic;
    if (status_) connection_->subscribe(topic, wanted.sid);
  }
  auto& all = wanted.subscribers;
  if (std::find(all.begin(), all.end(), &subscriber) == all.end()) all.push_back(&subscriber);
  if (!status_) co_return Status(Errc::unavailable, "broker.nats: " + status_.text());
  co_await connection_->flush(ctx);
  co_return ok;
}

void NatsBroker::unsubscribe(std::string_view topic, Subscriber& subscriber) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return;
  std::erase(at->second.subscribers, &subscriber);
  if (!at->second.subscribers.empty()) return;
  if (status_) connection_->unsubscribe(at->second.sid);
  by_sid_.erase(at->second.sid);
  topics_.erase(at);
}

Status NatsBroker::can_publish(std::size_t waiting) const {
  if (!status_) return Status(Errc::unavailable, "broker.nats: " + status_.text()).not_executed();
  return connection_->can_publish(waiting);
}

Status NatsBroker::publish(std::string_view topic, std::string_view payload) {
  if (Status can = can_publish(0); !can) return can;
  if (payload.size() > max_payload_)
    return Status(Errc::invalid_argument, "a message of " + std::to_string(payload.size()) +
                                              " bytes is over the server's max_payload of " +
                                              std::to_string(max_payload_));
  connection_->publish(topic, payload);
  return ok;
}

void NatsBroker::on_message(std::uint64_t sid, std::string_view payload) {
  const auto named = by_sid_.find(sid);
  if (named == by_sid_.end()) return;  // unsubscribed meanwhile
  // A subscriber may come or go, and the topic with it, while it is told.
  told_topic_ = named->second;
  told_ = topics_.find(told_topic_)->second.subscribers;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (i > 0) {
      const auto now = topics_.find(told_topic_);
      if (now == topics_.end()) return;
      const auto& all = now->second.subscribers;
      if (std::find(all.begin(), all.end(), told_[i]) == all.end()) continue;
    }
    told_[i]->on_message(told_topic_, payload);
  }
}

}  // namespace m3
