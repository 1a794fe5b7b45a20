// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "m3/async/channel.h"
#include "m3/async/runtime.h"
#include "m3/async/scope.h"
#include "m3/async/semaphore.h"
#include "m3/obs/log_limit.h"
#include "m3/obs/metric.h"
#include "m3/plugin/router.h"
#include "plugins/client/consul/consul_client.h"
#include "plugins/router/consul/consul_list.h"

namespace m3 {

/// Watches services: a blocking query for each registered one. The others (a typing error, or an id
/// made up by a player) share one blocking query of the names of all services, which runs while
/// there are any; so they cost Consul nothing, however many they are. Core-local; owned by the
/// router, as is `client`, which outlives it.
class ConsulWatches {
 public:
  struct Options {
    Nanos wait{0};           ///< of a blocking query
    std::size_t places = 0;  ///< how many of them may wait at the same time
  };
  ConsulWatches(Runtime& runtime, ConsulClient& client, Options options, MetricRegistry& metrics);
  ConsulWatches(const ConsulWatches&) = delete;
  ConsulWatches& operator=(const ConsulWatches&) = delete;
  ~ConsulWatches();

  /// As Router's.
  void watch(const ServiceId& service, Router::Watcher& watcher);
  void unwatch(const ServiceId& service);
  Task<> stop(Ctx& ctx);

  /// A single query.
  Task<std::vector<Member>> members(Ctx& ctx, ServiceId service);

 private:
  struct Watch;
  using Shared = std::shared_ptr<Watch>;
  struct Answer : ConsulList::Read {
    std::uint64_t index = 0;
  };
  struct Place;

  Task<> follow_names(Ctx& ctx);
  Task<> judge_news(Ctx& ctx);
  Status names_came(const std::string& body);
  void judge(const Shared& watch);
  void doubt(const Shared& watch);

  Task<> follow(Ctx& ctx, Shared watch);
  Task<Answer> next_answer(Ctx& ctx, const Watch& watch);
  Task<Answer> wait_for_change(Ctx& ctx, const Watch& watch);
  Task<Semaphore::Hold> take_place(Ctx& ctx);
  Nanos fair_wait() const;
  Task<Answer> ask(Ctx& ctx, std::shared_ptr<ConsulList> list, std::uint64_t index, Nanos wait);
  Task<ConsulList::Read> read(Ctx& ctx, std::shared_ptr<ConsulList> list, std::string body);
  void skip(const std::string& service, const std::string& why);

  Runtime& runtime_;
  Core& core_;
  ConsulClient& client_;
  const Options options_;
  std::unordered_map<ServiceId, Shared> watches_;
  std::unordered_map<ServiceId, Shared> absent_;  // those of them that may not be registered
  std::vector<Shared> news_;                      // of absent_, not checked yet
  Channel<char> wanted_{1};                       // absent_ is no longer empty
  Channel<char> judged_{1};                       // news_ is no longer empty
  std::set<std::string> names_;                   // of all services
  bool names_known_ = false;                      // and a query will report their changes
  bool running_ = false;
  std::size_t present_ = 0;  // watches with a query of their own
  Semaphore first_;          // first answers, which do not wait for a change
  Semaphore places_;
  std::list<Place*> placed_;  // the longest waiting is first
  LogLimit skipped_log_;
  Counter skipped_;
  Counter answers_;
  Counter queries_;
  Scope scope_;
};

}  // namespace m3
