// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_broker.h"

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
    if (auto parsed = HostPort::parse_remote(server); !parsed.is_ok())
      return std::move(parsed).status();
  return ok;
}

Reconciler::Options options_of() {
  Reconciler::Options out;
  out.name = "broker.nats";
  return out;
}

}  // namespace

void NatsBroker::Config::describe(Schema<Config>& s) {
  s.add("servers", &Config::servers)
      .doc("host:port of each server; the first that answers is used")
      .check(good_servers);
  s.add("user", &Config::user).doc("user name, if the servers require one (needs password)");
  s.add("password", &Config::password).doc("password of user: \"${NATS_PASSWORD}\"").secret();
  s.add("token", &Config::token)
      .doc("\"${NATS_TOKEN}\", if the servers require a token instead")
      .secret();
  s.add("max_pending", &Config::max_pending)
      .doc(
          "largest backlog of unsent data, publishing beyond it fails; and largest backlog of "
          "received messages per core, those beyond it are dropped and counted")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
  s.add("connect_timeout", &Config::connect_timeout)
      .doc("time limit for connecting to each server")
      .range(10ms, 1min);
  s.add("ping_interval", &Config::ping_interval)
      .doc("ping the server after this much silence")
      .range(100ms, 1min);
}

NatsBroker::NatsBroker(Env& env, Config config)
    : core_(env.runtime().core(0)),
      config_(std::move(config)),
      name_(env.app_id().to_string()),
      transport_(core_, buffers_),
      reconciler_(core_, *this, options_of()) {}

NatsBroker::~NatsBroker() = default;

Task<> NatsBroker::start(Ctx& ctx) { return reconciler_.start(ctx); }
Task<> NatsBroker::stop(Ctx& ctx) { return reconciler_.stop(ctx); }

// ---- the connection

/// To the first server that accepts the connection; each is tried once.
Task<> NatsBroker::connect(Ctx& ctx) {
  Status why;
  for (std::size_t i = 0; i < config_.servers.size(); ++i) {
    const std::string server = config_.servers[next_server_ % config_.servers.size()];
    Status status = (co_await as_result(connect_to(ctx, server))).status();
    if (status) co_return ok;
    ++next_server_;
    if (why.is_ok() || may_pass(status.code())) why = std::move(status);
    if (ctx.cancelled()) break;
  }
  co_return why;
}

Task<> NatsBroker::connect_to(Ctx& ctx, const std::string& server) {
  const NatsLogin login{name_, config_.user, config_.password, config_.token};
  const NatsConnection::Events events{
      [this](std::string_view topic, std::string_view payload) {
        subscribers_.tell(topic, payload);
      },
      [this](std::string_view topic, const Status& why) { refuse(topic, why); },
      [this](std::string_view topic, const Status& why) { end_subscription(topic, why); }};
  auto made = co_await as_result(within(ctx, config_.connect_timeout, [&](Ctx& soon) {
    return NatsConnection::connect(soon, transport_, *HostPort::parse(server), login,
                                   config_.max_pending.bytes, events);
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

void NatsBroker::refuse(std::string_view topic, const Status& why) {
  if (refused_.add(topic, core_.read_clock()))
    log::warn_limited("broker.nats: messages published to {} are lost, the server refuses them: {}",
                      topic, why.to_string());
  tell_refused(topic, why);
}

/// The wish stays: it counts as refused until the server allows it again.
void NatsBroker::end_subscription(std::string_view topic, const Status& why) {
  if (sids_.find(std::string(topic)) == sids_.end()) return;  // a server may say anything
  log::warn_limited("broker.nats: the server has ended the subscription of {}: {}", topic,
                    why.to_string());
  reconciler_.missing(topic);
}

Task<> NatsBroker::watch(Ctx& ctx) {
  co_await watch_by_pings(
      ctx, {connection_->address().to_string(), config_.ping_interval, kPingTimeout,
            [this](Ctx& soon) { return connection_->lost(soon); },
            [this](Ctx& soon) { return connection_->flush(soon); }, [this] { return heard(); }});
  co_return ok;
}

Task<> NatsBroker::disconnect(Ctx&, Status why) {
  if (!connection_) co_return ok;
  connection_->close(why);
  tell_lost(connection_->unsent());
  connection_.reset();
  sids_.clear();
  refused_.clear();
  ++next_server_;
  co_return ok;
}

/// The number of an order is that of its subscription.
Task<> NatsBroker::send(Ctx&, std::vector<Order> orders) {
  for (const Order& order : orders) {
    const auto answered = [this, number = order.number](const Status& status) {
      reconciler_.answered(number, status);
    };
    const auto before = sids_.find(order.key);
    if (order.establish) {
      // The server may have one whose outcome is unknown; with both, messages would arrive twice.
      if (before != sids_.end()) connection_->unsubscribe(before->second, [](const Status&) {});
      sids_[order.key] = order.number;
      connection_->subscribe(order.key, order.number, answered);
    } else if (before != sids_.end()) {
      connection_->unsubscribe(before->second, answered);
      sids_.erase(before);
    } else {
      answered(ok);
    }
  }
  co_return ok;
}

// ---- topics

Task<> NatsBroker::subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) {
  const Subscribers::Asking asking(subscribers_, topic, subscriber);
  reconciler_.want(topic);
  co_await reconciler_.settled(ctx, std::move(topic));
  co_return ok;
}

void NatsBroker::unsubscribe(std::string_view topic, Subscriber& subscriber) {
  if (subscribers_.remove(topic, subscriber)) reconciler_.drop(topic);
}

Status NatsBroker::can_publish(std::size_t waiting) const {
  if (Status can = reconciler_.usable(); !can) return can;
  return connection_->can_publish(waiting);
}

Status NatsBroker::publish(std::string_view topic, std::string_view payload,
                           std::uint32_t notifies) {
  if (Status can = can_publish(0); !can) return can;
  if (payload.size() > max_payload())
    return Status(Errc::invalid_argument, "a message of " + std::to_string(payload.size()) +
                                              " bytes is over the server's max_payload of " +
                                              std::to_string(max_payload()));
  if (Status may = refused_.check(topic, core_.now()); !may) return may;
  connection_->publish(topic, payload, notifies);
  return ok;
}

std::size_t NatsBroker::max_payload() const {
  return connection_ ? connection_->info().max_payload : max_payload_;
}

}  // namespace m3
