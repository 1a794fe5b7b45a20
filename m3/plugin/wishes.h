// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m3/async/backoff.h"
#include "m3/async/clock.h"
#include "m3/base/status.h"

namespace m3 {

/// What shall exist in a service outside, as a set of keys, and what is known of it there: a state
/// machine without sockets or timers. It is told facts and says which orders to send next.
///
/// A key has at most one order under way, many keys have theirs at the same time. An order that
/// failed is given again, after a pause that grows. A wish that the service refuses keeps its
/// error, is tried again slowly, and holds up no other wish. A key that is no longer wished for is
/// withdrawn, also when its order was under way at that moment.
class Wishes {
 public:
  struct Options {
    /// What was brought about outlives the connection (a registration); false: it ends with it (a
    /// subscription).
    bool lasting = false;
    BackoffConfig failed = server_backoff();
    BackoffConfig refused{.least = std::chrono::milliseconds(500),
                          .first = std::chrono::seconds(1),
                          .most = std::chrono::seconds(30)};
  };
  struct Order {
    std::string key;
    bool establish = true;      ///< false: withdraw
    std::uint64_t number = 0;   ///< of this order; grows, and is never used twice
    std::uint64_t version = 0;  ///< of the wish: how often renew() was called
  };
  /// What became of an order.
  struct Answer {
    std::string key;         ///< empty: the order was unknown, and is to be ignored
    bool confirmed = false;  ///< it is there now, as it is wished for
    bool refused = false;    ///< the service said no to what is wished for
  };
  enum class State : std::uint8_t { unknown, open, confirmed, refused };

  /// `random`: 64 uniform bits, for the pauses.
  Wishes(Options options, std::function<std::uint64_t()> random)
      : options_(options), random_(std::move(random)) {}

  /// From now on it shall exist. One that was refused is tried again at once.
  void want(std::string_view key);
  /// It shall exist, and what it is has changed: it is established again.
  void renew(std::string_view key);
  /// From now on it shall not exist.
  void drop(std::string_view key);
  /// It was confirmed, and was found to be missing.
  void missing(std::string_view key);

  /// A new connection.
  void connected();
  /// The connection is lost; answers to its orders are unknown from now on.
  void lost();

  /// What is to be sent now, so that at most `window` orders are under way; each of them is waited
  /// for from now on.
  std::vector<Order> take(TimePoint now, std::size_t window);
  /// unavailable, deadline_exceeded, cancelled: the order failed and is given again. Another error:
  /// it is refused (resource_exhausted too: a limit stays for a while).
  Answer answered(std::uint64_t number, const Status& status, TimePoint now);

  bool is_connected() const noexcept { return connected_; }
  /// Connected, and every wish is confirmed on this connection, but for those that are refused.
  bool up() const noexcept { return connected_ && open_ == 0; }
  /// unknown: it is not subscribed.
  State state(std::string_view key) const;
  /// What the last order for it failed with; OK while none has.
  Status error(std::string_view key) const;
  std::size_t under_way() const noexcept { return asked_.size(); }
  std::size_t wanted() const noexcept { return wanted_; }
  /// When take() has something that waits for its pause; TimePoint::max(): nothing waits.
  TimePoint next_retry() const;

 private:
  enum class There : std::uint8_t { no, maybe, yes };
  struct Wish {
    explicit Wish(BackoffConfig pauses) : backoff(pauses) {}
    bool wanted = false;
    bool refused = false;
    bool open = false;    // counted in open_
    bool queued = false;  // in due_
    There there = There::no;
    std::uint64_t version = 0;  // what is wished for
    std::uint64_t held = 0;     // what the service has, where `there` is yes
    std::uint64_t asked = 0;    // the order under way; 0: none
    std::uint64_t asked_version = 0;
    bool asked_establish = false;
    TimePoint not_before{};
    Backoff backoff;
    Status error;
  };
  using Map = std::map<std::string, Wish, std::less<>>;

  static bool met(const Wish& wish);
  static bool needs_order(const Wish& wish);
  Wish& at(std::string_view key);
  void at_once(Wish& wish);
  void look(Map::iterator at);
  void pause(Map::iterator at, const Status& status, bool refused, TimePoint now);
  void recall(TimePoint now);

  const Options options_;
  const std::function<std::uint64_t()> random_;
  Map wishes_;
  std::deque<std::string> due_;
  std::multimap<TimePoint, std::string> later_;
  std::unordered_map<std::uint64_t, std::string> asked_;
  std::uint64_t last_number_ = 0;
  std::size_t open_ = 0;
  std::size_t wanted_ = 0;
  bool connected_ = false;
};

}  // namespace m3
