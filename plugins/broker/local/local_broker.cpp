// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/local/local_broker.h"
#include "m3/async/once.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <map>
#include <mutex>
#include <utility>

namespace m3 {

void LocalBroker::Config::describe(Schema<Config>& s) {
  s.add("max_pending", &Config::max_pending)
      .doc(
          "largest backlog of messages for this app, and for each of its cores; messages beyond it "
          "are dropped and counted")
      .range(ByteSize{64u << 10}, ByteSize{1u << 30});
}

/// One subscriber of a topic. `subscriber` belongs to the app's core 0.
struct LocalBroker::Wish {
  Wish(std::string wanted, std::shared_ptr<App> owner, Subscriber& told)
      : topic(std::move(wanted)), app(std::move(owner)), subscriber(&told) {}
  const std::string topic;
  const std::shared_ptr<App> app;
  Subscriber* subscriber;  // null: it has ended
};

/// One app, for the publishers of all.
struct LocalBroker::App {
  App(Core& home, std::size_t most, Counter counter)
      : core(home), max_pending(most), dropped(counter) {}
  Core& core;
  const std::size_t max_pending;
  Counter dropped;
  std::atomic<std::size_t> pending{0};  // bytes on their way to it
};

/// The data shared by the apps. Messages are posted to subscribers under the lock, so none is
/// posted to a removed one.
class LocalBroker::Hub {
 public:
  void add(std::shared_ptr<Wish> wish) {
    std::lock_guard lock(mutex_);
    topics_[wish->topic].push_back(std::move(wish));
  }
  void remove(const std::shared_ptr<Wish>& wish) {
    std::lock_guard lock(mutex_);
    const auto at = topics_.find(wish->topic);
    std::erase(at->second, wish);
    if (at->second.empty()) topics_.erase(at);
  }
  void publish(std::string_view topic, std::string_view bytes) {
    const auto payload = std::make_shared<const std::string>(bytes);
    std::lock_guard lock(mutex_);
    const auto at = topics_.find(topic);
    if (at == topics_.end()) return;
    for (const auto& wish : at->second) {
      App& app = *wish->app;
      if (app.pending + bytes.size() > app.max_pending) {
        app.dropped.inc();
        continue;
      }
      app.pending += bytes.size();
      app.core.post(async_detail::once([wish, payload] {
        wish->app->pending -= payload->size();
        if (Subscriber* subscriber = wish->subscriber)
          subscriber->on_message(wish->topic, *payload);
      }));
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<std::shared_ptr<Wish>>, std::less<>> topics_;
};

LocalBroker::LocalBroker(Env& env, const Config& config)
    : hub_(env.shared().get<Hub>()),
      app_(std::make_shared<App>(
          env.runtime().core(0), config.max_pending.bytes,
          env.metrics().counter("m3_broker_dropped_total",
                                "Messages dropped because the backlog was full"))) {}

LocalBroker::~LocalBroker() {
  assert(wishes_.empty() && "a LocalBroker was destroyed before stop()");
}

std::size_t LocalBroker::max_pending() const { return app_->max_pending; }

Task<> LocalBroker::stop(Ctx&) {
  while (!wishes_.empty()) unsubscribe(wishes_.back()->topic, *wishes_.back()->subscriber);
  co_return ok;
}

Task<> LocalBroker::subscribe(Ctx&, std::string topic, Subscriber& subscriber) {
  for (const auto& wish : wishes_)
    if (wish->topic == topic && wish->subscriber == &subscriber) co_return ok;
  wishes_.push_back(std::make_shared<Wish>(std::move(topic), app_, subscriber));
  hub_->add(wishes_.back());
  co_return ok;
}

void LocalBroker::unsubscribe(std::string_view topic, Subscriber& subscriber) {
  const auto at = std::find_if(wishes_.begin(), wishes_.end(), [&](const auto& wish) {
    return wish->topic == topic && wish->subscriber == &subscriber;
  });
  if (at == wishes_.end()) return;
  hub_->remove(*at);
  (*at)->subscriber = nullptr;
  wishes_.erase(at);
}

Status LocalBroker::publish(std::string_view topic, std::string_view payload, std::uint32_t) {
  if (payload.size() > max_payload())
    return Status(Errc::invalid_argument, "a message of " + std::to_string(payload.size()) +
                                              " bytes is over broker.local.max_pending");
  hub_->publish(topic, payload);
  return ok;
}

}  // namespace m3
