// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/publisher.h"

#include <algorithm>
#include <utility>

#include "m3/mesh/detail/broadcast_codec.h"
#include "m3/obs/log.h"

namespace m3::mesh_detail {
namespace {

/// More messages than that, and larger ones, are not kept for their memory.
constexpr std::size_t kMessagesKept = 64;
constexpr std::size_t kBytesKept = 2 * Publisher::kGathered;
/// The most bytes that a broker's protocol adds to a message.
constexpr std::size_t kProtocol = 64;
constexpr std::string_view kUnsentHelp =
    "Notifies lost: unsent when the broker's connection broke, or refused by the broker";

}  // namespace

Publisher::Publisher(Core& core, Broker& broker, const AppId& self, std::uint64_t run_id,
                     BroadcastProofs& proofs, MetricRegistry& metrics)
    : core_(core),
      broker_(broker),
      self_(self),
      run_id_(run_id),
      proofs_(proofs),
      published_(metrics.counter("m3_broadcasts_published_total", "Notifies passed to the broker")),
      unsent_(metrics.counter("m3_broadcasts_unsent_total", kUnsentHelp, {{"reason", "lost"}})),
      refused_(
          metrics.counter("m3_broadcasts_unsent_total", kUnsentHelp, {{"reason", "refused"}})) {
  broker_.on_refused([this](std::string_view at, const Status&) { count_refused(at); });
  broker_.on_lost([this](std::uint64_t notifies) {
    unsent_.add(notifies);
    log::warn_limited("{} notifies are lost with the broker's connection", notifies);
  });
}

Publisher::~Publisher() {
  broker_.on_refused({});
  broker_.on_lost({});
}

Task<> Publisher::stop(Ctx& ctx) {
  gathers_ = false;
  flush();
  co_await armed_.zero(ctx);
  co_return ok;
}

Status Publisher::publish(const std::string& topic, std::string_view notify) {
  const std::size_t limit = broker_.max_payload();
  const std::size_t alone = broadcast_size(self_.to_string(), notify.size());
  if (alone > limit)
    return Status(Errc::invalid_argument, "a broadcast of " + std::to_string(alone) +
                                              " bytes is over the broker's limit of " +
                                              std::to_string(limit));
  if (Status can = broker_.can_publish(bytes_); !can) return can;
  Topics::Entry& to = topic_of(topic);
  Message& message = message_of(to);
  if (message.count > 0 && message.bytes.size() + notify.size() > std::min(limit, kGathered))
    if (Status sent = send(message); !sent) return sent;
  if (message.count == 0) {
    begin_broadcast(message.bytes, self_.to_string(), run_id_, to.value.last + 1, proofs_.room());
    bytes_ += message.bytes.size() + topic.size() + kProtocol;
  }
  message.bytes += notify;
  bytes_ += notify.size();
  ++message.count;
  ++to.value.last;
  if (!gathers_ || message.bytes.size() >= kGathered) return send(message);
  if (armed_.count() == 0) {
    armed_.add();
    core_.at_turn_end(flush_);
  }
  return ok;
}

void Publisher::turn_ends() {
  flush();
  armed_.done();
}

Publisher::Topics::Entry& Publisher::topic_of(const std::string& name) {
  if (Topics::Entry* known = topics_.find(name)) return *known;
  while (topics_.leaving() && topics_.leaving()->value.message != kNone) flush();
  Topics::Entry& made = topics_.insert(name, [this](const Topics::Entry& forgotten) {
    begin_ = std::max(begin_, next_broadcast_row(forgotten.value.last));
  });
  made.value.last = begin_;
  return made;
}

/// The topic's message of this turn, empty at first.
Publisher::Message& Publisher::message_of(Topics::Entry& topic) {
  if (topic.value.message == kNone) {
    if (used_ == waiting_.size()) waiting_.emplace_back();
    topic.value.message = used_++;
    waiting_[topic.value.message].topic = &topic;
  }
  return waiting_[topic.value.message];
}

/// Its notifies already have their numbers: if it is not sent, receivers count them as lost.
Status Publisher::send(Message& message) {
  const std::string& topic = message.topic->name;
  proofs_.sign(message.bytes, topic);
  message.topic->value.sent = message.count;  // it may be refused within publish()
  Status sent = broker_.publish(topic, message.bytes, message.count);
  const bool refused = sent == Errc::permission_denied;  // the broker has logged it
  (sent ? published_ : refused ? refused_ : unsent_).add(message.count);
  if (!sent && !refused)
    log::warn_limited("topic {}: {} notifies are lost: {}", topic, message.count, sent.to_string());
  bytes_ -= message.bytes.size() + topic.size() + kProtocol;
  message.bytes.clear();
  message.count = 0;
  return sent;
}

/// A broker refuses a message when its answer comes, which may be behind newer messages of the
/// topic: then the last message is counted in its place, which usually has as many notifies.
void Publisher::count_refused(std::string_view topic) {
  const Topics::Entry* known = topics_.find(std::string(topic));
  refused_.add(known ? known->value.sent : 1);
}

void Publisher::flush() {
  for (std::uint32_t i = 0; i < used_; ++i) {
    Message& message = waiting_[i];
    message.topic->value.message = kNone;
    if (message.count > 0) (void)send(message).is_ok();  // counted
    if (message.bytes.capacity() > kBytesKept) message.bytes = std::string();
  }
  used_ = 0;
  if (waiting_.size() > kMessagesKept) waiting_.resize(kMessagesKept);
}

}  // namespace m3::mesh_detail
