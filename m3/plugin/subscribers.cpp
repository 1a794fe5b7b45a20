// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/subscribers.h"

#include <utility>

namespace m3 {

Subscribers::Asking::Asking(Subscribers& all, std::string topic, Subscriber& subscriber)
    : all_(all), topic_(std::move(topic)), subscriber_(subscriber) {
  if (Entry* entry = all_.find(topic_, subscriber_)) {
    ++entry->asking;
    return;
  }
  all_.topics_[topic_].push_back({&subscriber_, 1});
  ++all_.changes_;
}

Subscribers::Asking::~Asking() {
  Entry* entry = all_.find(topic_, subscriber_);
  if (entry && entry->asking > 0) --entry->asking;
}

Subscribers::Entry* Subscribers::find(std::string_view topic, const Subscriber& subscriber) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return nullptr;
  for (Entry& entry : at->second)
    if (entry.subscriber == &subscriber) return &entry;
  return nullptr;
}

bool Subscribers::remove(std::string_view topic, Subscriber& subscriber) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return false;
  const auto gone = std::erase_if(
      at->second, [&](const Entry& entry) { return entry.subscriber == &subscriber; });
  if (gone == 0) return false;
  ++changes_;
  if (!at->second.empty()) return false;
  topics_.erase(at);
  return true;
}

/// Over a copy: a callback may change the table, and a removed Subscriber is not called.
template <class Tell>
void Subscribers::each(std::string_view topic, Tell tell) {
  const auto at = topics_.find(topic);
  if (at == topics_.end()) return;
  std::vector<Subscriber*> now = std::exchange(told_, {});
  now.clear();
  for (const Entry& entry : at->second)
    if (tell.wanted(entry)) now.push_back(entry.subscriber);
  const std::uint64_t changes = changes_;
  for (Subscriber* subscriber : now)
    if (changes == changes_ || find(topic, *subscriber)) tell(*subscriber);
  told_ = std::move(now);
}

void Subscribers::tell(std::string_view topic, std::string_view payload) {
  struct Tell {
    std::string_view topic, payload;
    bool wanted(const Entry&) const { return true; }
    void operator()(Subscriber& subscriber) const { subscriber.on_message(topic, payload); }
  };
  each(topic, Tell{topic, payload});
}

void Subscribers::tell_resubscribed(std::string_view topic) {
  struct Tell {
    std::string_view topic;
    bool wanted(const Entry& entry) const { return entry.asking == 0; }
    void operator()(Subscriber& subscriber) const { subscriber.on_resubscribed(topic); }
  };
  each(topic, Tell{topic});
}

bool RefusedTopics::add(std::string_view topic, TimePoint now) {
  if (!is_topic(topic)) return false;  // a server may say anything
  if (until_.size() >= kMost) until_.clear();
  const auto [at, fresh] = until_.try_emplace(std::string(topic));
  const bool news = fresh || now - at->second > kOldNews;
  at->second = now + kFor;
  return news;
}

Status RefusedTopics::check(std::string_view topic, TimePoint now) {
  if (until_.empty()) return ok;
  const auto at = until_.find(topic);
  if (at == until_.end() || now >= at->second) return ok;
  return Status(Errc::permission_denied,
                "the server does not allow publishing to " + std::string(topic))
      .not_executed();
}

}  // namespace m3
