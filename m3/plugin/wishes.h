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

/// The wanted state of an external service, as a set of keys, and its known state: a state machine
/// without sockets or timers. It is fed facts and returns the orders to send next.
///
/// A key has at most one order in flight; many keys can have one at the same time. A failed order
/// is retried with backoff. A refused wish keeps its error, is retried slowly, and does not delay
/// the others. A key that is no longer wanted is withdrawn, even if its order was in flight at that
/// moment.
class Wishes {
 public:
  struct Options {
    /// The established state outlives the connection (a registration); false: it ends with the
    /// connection (a subscription).
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
  /// The outcome of an order.
  struct Answer {
    std::string key;         ///< empty: the order is unknown, ignore it
    bool confirmed = false;  ///< it now exists as wanted
    bool refused = false;    ///< the service refused it
  };
  enum class State : std::uint8_t { unknown, open, confirmed, refused };

  /// `random`: 64 uniform bits, for the pauses.
  Wishes(Options options, std::function<std::uint64_t()> random)
      : options_(options), random_(std::move(random)) {}

  /// The key is wanted from now on. A refused one is retried at once.
  void want(std::string_view key);
  /// The key is wanted with a changed value: it is established again.
  void renew(std::string_view key);
  /// The key is no longer wanted.
  void drop(std::string_view key);
  /// The key was confirmed, but was found to be missing.
  void missing(std::string_view key);

  /// A new connection.
  void connected();
  /// The connection is lost; answers to its orders are ignored from now on.
  void lost();

  /// The orders to send now, so that at most `window` are in flight; an answer to each is expected
  /// from now on.
  std::vector<Order> take(TimePoint now, std::size_t window);
  /// unavailable, deadline_exceeded, cancelled: the order failed and is retried. Any other error:
  /// it is refused (resource_exhausted, too: a limit stays for a while).
  Answer answered(std::uint64_t number, const Status& status, TimePoint now);

  bool is_connected() const noexcept { return connected_; }
  /// Connected, and every wish except refused ones is confirmed on this connection.
  bool up() const noexcept { return connected_ && open_ == 0; }
  /// unknown: it is not subscribed.
  State state(std::string_view key) const;
  /// The error of the last order for it; OK while none has failed.
  Status error(std::string_view key) const;
  std::size_t under_way() const noexcept { return asked_.size(); }
  std::size_t wanted() const noexcept { return wanted_; }
  /// When the next retry is due in take(); TimePoint::max(): none.
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
    std::uint64_t version = 0;  // the wanted version
    std::uint64_t held = 0;     // the service's version, where `there` is yes
    std::uint64_t asked = 0;    // the order in flight; 0: none
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
