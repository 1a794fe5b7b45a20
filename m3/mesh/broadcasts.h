// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/mesh/detail/broadcast_codec.h"
#include "m3/mesh/detail/publisher.h"
#include "m3/mesh/detail/recent_map.h"
#include "m3/obs/metric.h"
#include "m3/plugin/broker.h"
#include "m3/rpc/broadcaster.h"

namespace m3 {

class RpcNode;

/// BroadCast and MultiCast over the app's broker, at most once and in the order of each publisher
/// and topic. A message is handled like a notify from a connection: same dispatcher, interceptors
/// and handlers, on the core that its topic hashes to, within `timeout`. Receivers count missing
/// messages. Notifies of one turn to one topic are sent as one message (Publisher). Owned by the
/// app; core 0, except for the functions of Broadcaster, which every core calls.
class Broadcasts final : public Broadcaster, Broker::Subscriber {
 public:
  struct Options {
    AppId self;
    std::uint64_t run_id = 0;
    Nanos timeout = std::chrono::seconds(5);
    std::string token;  ///< proven by each message and required of others; empty: none
    std::string second_token;
  };
  /// `broker` may be null: then topics are refused, and to_all() is left to the caller's fan-out.
  Broadcasts(Runtime& runtime, Broker* broker, Options options, MetricRegistry& metrics);
  Broadcasts(const Broadcasts&) = delete;
  Broadcasts& operator=(const Broadcasts&) = delete;
  ~Broadcasts();

  /// The number of publishers, of all topics together, whose last numbers are kept. A forgotten one
  /// is like one that was never heard: its losses and repetitions are not detected.
  static constexpr std::size_t kMostPublishers = 65536;

  /// Called when the app is ready: messages to its service and to its topics are handled from now
  /// on.
  Task<> start(Ctx& ctx, RpcNode& node);
  /// No message is handled afterwards; publishing goes on until the broker stops.
  Task<> stop(Ctx& ctx);

  Task<> to_all(Ctx& ctx, const ServiceId& service, std::string notify) override;
  Task<> to_topic(Ctx& ctx, const WorldId& world, std::string topic, std::string notify) override;
  bool needs_fan_out() const override { return broker_ == nullptr; }
  Task<> join(Ctx& ctx, const WorldId& world, std::string topic) override;
  Task<> leave(Ctx& ctx, const WorldId& world, std::string topic) override;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;
  /// The last number of each start of one publisher, the latest heard first. Runs are not ordered,
  /// and messages of a past run may still arrive: in flight from the old process, or replayed. They
  /// do not affect the other runs.
  struct Heard {
    struct Run {
      std::uint64_t id = 0;
      std::uint64_t sequence = 0;  ///< 0: not heard
    };
    std::array<Run, 3> runs;
  };
  struct Topic {
    std::uint64_t number = 0;  // a new one each time it is joined
    unsigned core = 0;         // its handlers'
  };
  using Publishers = mesh_detail::RecentMap<Heard>;  // by topic number and name

  void on_message(std::string_view topic, std::string_view payload) override;
  void on_resubscribed(std::string_view topic) override;

  /// Runs the work on core 0, from any core.
  Task<> on_home(Ctx& ctx, Task<> (Broadcasts::*what)(Ctx&, std::string, std::string),
                 std::string topic, std::string notify);
  Task<> publish(Ctx& ctx, std::string topic, std::string notify);
  Task<> subscribe(Ctx& ctx, std::string topic, std::string unused);
  Task<> unsubscribe(Ctx& ctx, std::string topic, std::string unused);
  /// Null: it is not joined.
  Topic* heard_of(std::string_view topic);
  /// Null: the publisher's name is not an app id.
  Heard* heard_of(const Topic& topic, std::string_view publisher);
  /// Counts gaps; false: the message was received before.
  bool is_new(Heard& heard, const mesh_detail::BroadcastMessage& message);
  /// Passes it to the core of its topic; dropped and counted when that core's backlog is full.
  void post(unsigned core, const mesh_detail::BroadcastMessage& message, Deadline deadline);
  void handle(RpcNode& node, std::string_view frames, std::string_view publisher,
              Deadline deadline);

  Runtime& runtime_;
  Broker* const broker_;
  const AppId self_;
  const Nanos timeout_;
  mesh_detail::BroadcastProofs proofs_;
  RpcNode* node_ = nullptr;  // while started
  std::set<std::string, std::less<>> joined_;
  std::optional<mesh_detail::Publisher> publisher_;  // where there is a broker
  // Messages arrive in runs: compare with the last look-up first.
  ByName<Topic> heard_;  // of joined_
  ByName<Topic>::value_type* last_topic_ = nullptr;
  std::uint64_t topics_ = 0;
  Publishers publishers_;
  Publishers::Entry* last_publisher_ = nullptr;
  std::string name_;                               // of the publisher that is looked up
  std::vector<std::atomic<std::size_t>> waiting_;  // bytes posted and not handled, by core
  Counter received_;
  Counter missing_;
  Counter again_;
  Counter bad_;
  Counter dropped_;
  Counter resubscribed_;
};

}  // namespace m3
