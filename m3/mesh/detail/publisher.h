// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/bound.h"
#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/app_id.h"
#include "m3/mesh/detail/broadcast_proofs.h"
#include "m3/mesh/detail/recent_map.h"
#include "m3/obs/metric.h"
#include "m3/plugin/broker.h"

namespace m3::mesh_detail {

/// Publishes an app's notifies. All notifies of one turn to one topic are sent as one broker
/// message when the turn ends, or when kGathered bytes are collected: the broker and its receivers
/// do most of their work once for all of them. The caller still gets the result at once, as from
/// Broker::publish(). Owned by Broadcasts; core 0.
class Publisher {
 public:
  /// A larger notify is sent alone.
  static constexpr std::size_t kGathered = 16u << 10;
  /// Topics whose numbers it knows. A forgotten topic continues with new numbers above all its
  /// earlier ones, so receivers accept them; losses in between are not detected.
  static constexpr std::size_t kMostTopics = 65536;

  /// All references must outlive it.
  Publisher(Core& core, Broker& broker, const AppId& self, std::uint64_t run_id,
            BroadcastProofs& proofs, MetricRegistry& metrics);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  ~Publisher();

  /// From now on it collects; before, each notify is sent at once.
  void start() { gathers_ = true; }
  /// Returns when nothing is collected; afterwards each notify is sent at once.
  Task<> stop(Ctx& ctx);

  /// `notify`: one frame. Returns what Broker::publish() returns.
  Status publish(const std::string& topic, std::string_view notify);
  std::size_t topics() const noexcept { return topics_.size(); }  ///< that it knows

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Topic {
    std::uint64_t last = 0;         // the number of its last notify
    std::uint64_t sent = 0;         // notifies of the last message that the broker accepted
    std::uint32_t message = kNone;  // in waiting_
  };
  using Topics = RecentMap<Topic>;
  struct Message {
    Topics::Entry* topic = nullptr;
    std::string bytes;        // empty while count is 0
    std::uint64_t count = 0;  // notifies
  };

  Topics::Entry& topic_of(const std::string& name);
  Message& message_of(Topics::Entry& topic);
  Status send(Message& message);
  void count_refused(std::string_view topic);
  void flush();
  void turn_ends();

  Core& core_;
  Broker& broker_;
  const AppId& self_;
  const std::uint64_t run_id_;
  BroadcastProofs& proofs_;
  bool gathers_ = false;
  Topics topics_{kMostTopics};
  std::uint64_t begin_ = 0;       // where the numbers of a topic that is not known begin
  std::vector<Message> waiting_;  // kept for their memory; those in use come first
  std::uint32_t used_ = 0;
  std::size_t bytes_ = 0;  // that wait, with what the broker's protocol may add
  Countdown armed_;        // 1 while the core's queue knows flush_
  async_detail::Bound<async_detail::Runnable, &Publisher::turn_ends> flush_{*this};
  Counter published_;
  Counter unsent_;
  Counter refused_;
};

}  // namespace m3::mesh_detail
