// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/clock.h"
#include "m3/plugin/broker.h"

namespace m3 {

/// The subscribers of a broker's topics. Subscribers may be added and removed inside callbacks.
/// Core-local.
class Subscribers {
 public:
  using Subscriber = Broker::Subscriber;

  /// A subscribe() in progress: the subscriber is listed, and learns from the outcome of the call
  /// that the topic is subscribed, not from on_resubscribed(). Stored in the coroutine's frame.
  class Asking {
   public:
    Asking(Subscribers& all, std::string topic, Subscriber& subscriber);
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    ~Asking();

   private:
    Subscribers& all_;
    const std::string topic_;
    Subscriber& subscriber_;
  };

  /// True: the topic has no subscribers left.
  bool remove(std::string_view topic, Subscriber& subscriber);
  /// A message arrived. The views need not be of this table.
  void tell(std::string_view topic, std::string_view payload);
  /// The topic is subscribed on a new connection.
  void tell_resubscribed(std::string_view topic);

 private:
  struct Entry {
    Subscriber* subscriber;
    unsigned asking;
  };
  using Entries = std::vector<Entry>;
  Entry* find(std::string_view topic, const Subscriber& subscriber);
  template <class Tell>
  void each(std::string_view topic, Tell tell);

  std::map<std::string, Entries, std::less<>> topics_;
  std::uint64_t changes_ = 0;
  std::vector<Subscriber*> told_;  // kept for its memory
};

/// Topics that a server does not allow this app to publish to. The server reports that only after a
/// message was sent, so the next ones are refused here; after kFor they are let through to learn
/// whether that still holds. Core-local.
class RefusedTopics {
 public:
  /// A message was refused. True: the first time, so log it.
  bool add(std::string_view topic, TimePoint now);
  /// permission_denied: it was refused a moment ago.
  Status check(std::string_view topic, TimePoint now);
  void clear() { until_.clear(); }

 private:
  static constexpr Nanos kFor = std::chrono::seconds(5);
  static constexpr Nanos kOldNews = std::chrono::minutes(10);
  static constexpr std::size_t kMost = 10000;
  std::map<std::string, TimePoint, std::less<>> until_;
};

}  // namespace m3
