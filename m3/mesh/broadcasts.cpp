// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/broadcasts.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <memory>
#include <utility>

#include "m3/async/once.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"
#include "m3/rpc/node.h"

namespace m3 {

using mesh_detail::broadcast_topic;
using mesh_detail::BroadcastMessage;
using mesh_detail::multicast_topic;

namespace {

Status no_broker() {
  return Status(Errc::failed_precondition,
                "topics need a broker: add a section [broker.redis] or [broker.nats]");
}

}  // namespace

Broadcasts::Broadcasts(Runtime& runtime, Broker* broker, Options options, MetricRegistry& metrics)
    : runtime_(runtime),
      broker_(broker),
      self_(std::move(options.self)),
      timeout_(options.timeout),
      proofs_(options.token, options.second_token),
      publishers_(kMostPublishers),
      waiting_(runtime.size()),
      received_(
          metrics.counter("m3_broadcasts_received_total", "Notifies received from the broker")),
      missing_(metrics.counter("m3_broadcasts_missing_total",
                               "Notifies that were published but did not arrive")),
      again_(
          metrics.counter("m3_broadcasts_repeated_total", "Notifies that arrived a second time")),
      bad_(metrics.counter("m3_broadcasts_bad_total",
                           "Messages of a topic that could not be handled")),
      dropped_(
          metrics.counter("m3_broadcasts_dropped_total",
                          "Notifies that arrived but were dropped, because too many were waiting",
                          {{"reason", "core_behind"}})),
      resubscribed_(metrics.counter("m3_broadcasts_resubscribed_total",
                                    "Times the broker lost a subscription and restored it")) {
  if (broker_)
    publisher_.emplace(runtime.core(0), *broker_, self_, options.run_id, proofs_, metrics);
}

Broadcasts::~Broadcasts() = default;

Task<> Broadcasts::start(Ctx& ctx, RpcNode& node) {
  node_ = &node;
  if (!broker_) co_return ok;
  publisher_->start();
  joined_.insert(broadcast_topic(self_.service_id()));
  const auto topics = joined_;
  for (const std::string& topic : topics) {
    if (!joined_.contains(topic)) continue;  // the topic was left meanwhile
    co_await broker_->subscribe(ctx, topic, *this);
  }
  co_return ok;
}

Task<> Broadcasts::stop(Ctx& ctx) {
  if (!std::exchange(node_, nullptr)) co_return ok;
  if (broker_) {
    for (const std::string& topic : joined_) broker_->unsubscribe(topic, *this);
    co_await publisher_->stop(ctx);
  }
  joined_.clear();
  // When these have returned, no delivery is in progress any more.
  for (unsigned i = 0; i < runtime_.size(); ++i)
    co_await run_on(ctx, runtime_.core(i), [](Ctx&) -> Task<> { co_return ok; });
  co_return ok;
}

// ---- called on every core

Task<> Broadcasts::on_home(Ctx& ctx, Task<> (Broadcasts::*what)(Ctx&, std::string, std::string),
                           std::string topic, std::string notify) {
  Core& home = runtime_.core(0);
  if (&ctx.core() == &home) {
    co_await (this->*what)(ctx, std::move(topic), std::move(notify));
    co_return ok;
  }
  co_await run_on(ctx, home, [&](Ctx& there) {
    return (this->*what)(there, std::move(topic), std::move(notify));
  });
  co_return ok;
}

Task<> Broadcasts::to_all(Ctx& ctx, const ServiceId& service, std::string notify) {
  assert(broker_ && "the caller fans out");
  return on_home(ctx, &Broadcasts::publish, broadcast_topic(service), std::move(notify));
}

Task<> Broadcasts::to_topic(Ctx& ctx, const WorldId& world, std::string topic, std::string notify) {
  if (!broker_) co_return no_broker();
  auto name = multicast_topic(world, topic);
  if (!name.is_ok()) co_return std::move(name).status();
  co_await on_home(ctx, &Broadcasts::publish, *std::move(name), std::move(notify));
  co_return ok;
}

Task<> Broadcasts::join(Ctx& ctx, const WorldId& world, std::string topic) {
  if (!broker_) co_return no_broker();
  auto name = multicast_topic(world, topic);
  if (!name.is_ok()) co_return std::move(name).status();
  co_await on_home(ctx, &Broadcasts::subscribe, *std::move(name), "");
  co_return ok;
}

Task<> Broadcasts::leave(Ctx& ctx, const WorldId& world, std::string topic) {
  if (!broker_) co_return no_broker();
  auto name = multicast_topic(world, topic);
  if (!name.is_ok()) co_return std::move(name).status();
  co_await on_home(ctx, &Broadcasts::unsubscribe, *std::move(name), "");
  co_return ok;
}

// ---- on core 0

Task<> Broadcasts::publish(Ctx&, std::string topic, std::string notify) {
  co_return publisher_->publish(topic, notify);
}

Task<> Broadcasts::subscribe(Ctx& ctx, std::string topic, std::string) {
  joined_.insert(topic);
  if (!node_) co_return ok;
  // Even if it was joined before: the broker knows whether messages arrive by now.
  co_await broker_->subscribe(ctx, std::move(topic), *this);
  co_return ok;
}

Task<> Broadcasts::unsubscribe(Ctx&, std::string topic, std::string) {
  if (joined_.erase(topic) == 0) co_return ok;
  last_topic_ = nullptr;
  heard_.erase(topic);
  if (node_) broker_->unsubscribe(topic, *this);
  co_return ok;
}

Broadcasts::Topic* Broadcasts::heard_of(std::string_view topic) {
  if (last_topic_ && last_topic_->first == topic) return &last_topic_->second;
  auto at = heard_.find(topic);
  if (at == heard_.end()) {
    if (!joined_.contains(topic)) return nullptr;
    at = heard_.try_emplace(std::string(topic)).first;
    const std::size_t hash = std::hash<std::string_view>()(topic);
    at->second.core = static_cast<unsigned>(hash % runtime_.size());
    at->second.number = ++topics_;
  }
  last_topic_ = &*at;
  return &at->second;
}

Broadcasts::Heard* Broadcasts::heard_of(const Topic& topic, std::string_view publisher) {
  name_.assign(reinterpret_cast<const char*>(&topic.number), sizeof topic.number);
  name_ += publisher;
  if (last_publisher_ && last_publisher_->name == name_) return &last_publisher_->value;
  Publishers::Entry* found = publishers_.find(name_);
  if (!found) {
    if (!AppId::parse(publisher).is_ok()) return nullptr;
    found = &publishers_.insert(name_, [this](const Publishers::Entry& forgotten) {
      if (last_publisher_ == &forgotten) last_publisher_ = nullptr;
    });
  }
  last_publisher_ = found;
  return &found->value;
}

bool Broadcasts::is_new(Heard& heard, const BroadcastMessage& message) {
  const auto run = std::ranges::find_if(heard.runs, [&](const Heard::Run& one) {
    return one.id == message.run_id && one.sequence > 0;
  });
  const bool known = run != heard.runs.end();
  if (known && message.sequence <= run->sequence) {
    again_.add(message.count);
    return false;
  }
  if (known && mesh_detail::same_broadcast_row(message.sequence, run->sequence))
    missing_.add(message.sequence - run->sequence - 1);
  std::rotate(heard.runs.begin(), known ? run : heard.runs.end() - 1,
              known ? run + 1 : heard.runs.end());
  heard.runs.front() = {message.run_id, message.sequence + message.count - 1};
  return true;
}

void Broadcasts::on_message(std::string_view topic, std::string_view payload) {
  if (!node_) return;
  const auto bad = [&](std::string_view why) {
    bad_.inc();
    log::warn_limited("topic {}: {}", topic, why);
  };
  auto message = mesh_detail::read_broadcast(payload);
  if (!message.is_ok()) return bad(message.status().to_string());
  if (Status proven = proofs_.check(*message, topic); !proven)
    return bad("a broadcast of \"" + cut_text(message->publisher) + "\": " + proven.to_string());
  received_.add(message->count);
  const Topic* heard = heard_of(topic);
  if (!heard) return;
  Heard* publisher = heard_of(*heard, message->publisher);
  if (!publisher) return bad("the publisher's name is not an app id");
  if (!is_new(*publisher, *message)) return;
  const Deadline deadline(runtime_.core(0).read_clock() + timeout_);
  if (heard->core == 0) return handle(*node_, message->frames, message->publisher, deadline);
  post(heard->core, *message, deadline);
}

void Broadcasts::post(unsigned core, const BroadcastMessage& message, Deadline deadline) {
  std::atomic<std::size_t>& waiting = waiting_[core];
  const std::size_t size = message.frames.size() + message.publisher.size();
  const std::size_t before = waiting;
  if (before > 0 && before + size > broker_->max_pending()) {  // a large one passes alone
    dropped_.add(message.count);
    return log::warn_limited("core {} is overloaded: {} notifies from {} are dropped", core,
                             message.count, message.publisher);
  }
  waiting += size;
  runtime_.core(core).post(
      async_detail::once([this, &waiting, size, node = node_, frames = std::string(message.frames),
                          from = std::string(message.publisher), deadline] {
        handle(*node, frames, from, deadline);
        waiting -= size;
      }));
}

void Broadcasts::handle(RpcNode& node, std::string_view frames, std::string_view publisher,
                        Deadline deadline) {
  while (!frames.empty()) {
    Status status = node.deliver(mesh_detail::take_frame(frames), deadline, publisher);
    if (status) continue;
    bad_.inc();
    log::warn_limited("a broadcast of {}: {}", publisher, status.to_string());
  }
}

void Broadcasts::on_resubscribed(std::string_view topic) {
  resubscribed_.inc();
  log::warn_limited("topic {}: subscribed again, messages may be missing", topic);
}

}  // namespace m3
