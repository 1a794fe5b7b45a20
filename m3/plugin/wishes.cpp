// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/wishes.h"

#include <utility>

namespace m3 {

namespace {

bool is_refusal(Errc code) {
  return code != Errc::unavailable && code != Errc::deadline_exceeded && code != Errc::cancelled;
}

}  // namespace

/// A withdrawal in flight removes it.
bool Wishes::met(const Wish& wish) {
  const bool leaving = wish.asked != 0 && !wish.asked_establish;
  return wish.wanted && wish.there == There::yes && wish.held == wish.version && !leaving;
}

bool Wishes::needs_order(const Wish& wish) {
  return wish.wanted ? !met(wish) : wish.there != There::no;
}

Wishes::Wish& Wishes::at(std::string_view key) {
  const auto found = wishes_.find(key);
  if (found != wishes_.end()) return found->second;
  return wishes_.emplace(key, Wish(options_.failed)).first->second;
}

void Wishes::at_once(Wish& wish) {
  wish.refused = false;
  wish.not_before = TimePoint();
}

void Wishes::want(std::string_view key) {
  Wish& wish = at(key);
  if (!std::exchange(wish.wanted, true)) {
    ++wanted_;
    at_once(wish);
  } else if (wish.refused) {
    at_once(wish);
  }
  look(wishes_.find(key));
}

void Wishes::renew(std::string_view key) {
  Wish& wish = at(key);
  if (!std::exchange(wish.wanted, true)) ++wanted_;
  ++wish.version;
  at_once(wish);
  look(wishes_.find(key));
}

void Wishes::drop(std::string_view key) {
  const auto found = wishes_.find(key);
  if (found == wishes_.end() || !found->second.wanted) return;
  found->second.wanted = false;
  --wanted_;
  at_once(found->second);
  look(found);
}

void Wishes::missing(std::string_view key) {
  const auto found = wishes_.find(key);
  if (found == wishes_.end()) return;
  if (found->second.asked == 0) found->second.there = There::no;
  look(found);
}

void Wishes::connected() {
  connected_ = true;
  for (auto at = wishes_.begin(); at != wishes_.end();) look(at++);
}

void Wishes::lost() {
  connected_ = false;
  asked_.clear();
  due_.clear();
  later_.clear();
  for (auto at = wishes_.begin(); at != wishes_.end();) {
    Wish& wish = at->second;
    if (!options_.lasting)
      wish.there = There::no;
    else if (wish.there == There::yes || wish.asked)
      wish.there = There::maybe;
    wish.asked = 0;
    wish.queued = false;
    wish.error = Status();
    wish.backoff = Backoff(options_.failed);
    at_once(wish);
    look(at++);
  }
}

/// After each change of a wish: counts it, queues it when an order is due, deletes it when it is no
/// longer needed.
void Wishes::look(Map::iterator at) {
  Wish& wish = at->second;
  const bool open = wish.wanted && !wish.refused && !met(wish);
  if (open != wish.open) open ? ++open_ : --open_;
  wish.open = open;
  if (wish.asked) return;
  if (!wish.wanted && wish.there == There::no) {
    wishes_.erase(at);
    return;
  }
  if (!connected_ || wish.queued || wish.not_before != TimePoint() || !needs_order(wish)) return;
  wish.queued = true;
  due_.push_back(at->first);
}

/// Queues those whose pause is over.
void Wishes::recall(TimePoint now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    const auto found = wishes_.find(later_.begin()->second);
    const TimePoint at = later_.begin()->first;
    later_.erase(later_.begin());
    if (found == wishes_.end() || found->second.not_before != at) continue;
    found->second.not_before = TimePoint();
    look(found);
  }
}

std::vector<Wishes::Order> Wishes::take(TimePoint now, std::size_t window) {
  std::vector<Order> out;
  if (!connected_) return out;
  recall(now);
  while (!due_.empty() && asked_.size() < window) {
    const auto found = wishes_.find(due_.front());
    due_.pop_front();
    if (found == wishes_.end()) continue;
    Wish& wish = found->second;
    wish.queued = false;
    if (wish.asked || wish.not_before != TimePoint() || !needs_order(wish)) continue;
    wish.asked = ++last_number_;
    wish.asked_version = wish.version;
    wish.asked_establish = wish.wanted;
    asked_.emplace(wish.asked, found->first);
    out.push_back({found->first, wish.wanted, wish.asked, wish.version});
  }
  return out;
}

Wishes::Answer Wishes::answered(std::uint64_t number, const Status& status, TimePoint now) {
  Answer out;
  const auto asked = asked_.find(number);
  if (asked == asked_.end()) return out;
  const auto found = wishes_.find(asked->second);
  out.key = std::move(asked->second);
  asked_.erase(asked);
  Wish& wish = found->second;  // kept while an order is in flight
  wish.asked = 0;
  const bool current = wish.wanted && wish.asked_establish && wish.asked_version == wish.version;
  if (status) {
    wish.there = wish.asked_establish ? There::yes : There::no;
    wish.held = wish.asked_version;
    wish.refused = false;
    wish.error = Status();
    wish.backoff = Backoff(options_.failed);
    out.confirmed = current;
  } else if (!is_refusal(status.code())) {
    wish.there = There::maybe;
    pause(found, status, false, now);
  } else {
    if (!wish.asked_establish) wish.there = There::no;  // the server refuses the withdrawal
    out.refused = current;
    if (current) pause(found, status, true, now);
  }
  look(found);
  return out;
}

void Wishes::pause(Map::iterator at, const Status& status, bool refused, TimePoint now) {
  Wish& wish = at->second;
  // A wish that has changed meanwhile does not wait for the earlier attempt.
  if (wish.wanted != wish.asked_establish || (wish.wanted && wish.asked_version != wish.version))
    return;
  if (refused != wish.refused) wish.backoff = Backoff(refused ? options_.refused : options_.failed);
  wish.refused = refused;
  wish.error = status;
  wish.not_before = now + wish.backoff.next(random_());
  later_.emplace(wish.not_before, at->first);
}

Wishes::State Wishes::state(std::string_view key) const {
  const auto found = wishes_.find(key);
  if (found == wishes_.end() || !found->second.wanted) return State::unknown;
  if (found->second.refused) return State::refused;
  return met(found->second) && connected_ ? State::confirmed : State::open;
}

Status Wishes::error(std::string_view key) const {
  const auto found = wishes_.find(key);
  return found == wishes_.end() ? Status() : found->second.error;
}

TimePoint Wishes::next_retry() const {
  return later_.empty() ? TimePoint::max() : later_.begin()->first;
}

}  // namespace m3
