// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/backoff.h"
#include "m3/async/channel.h"
#include "m3/async/countdown.h"
#include "m3/async/scope.h"
#include "m3/plugin/wishes.h"

namespace m3 {

/// Keeps the state that a plugin wants in an external service, over a connection that it
/// re-establishes whenever it is lost: connect, send the missing orders (many at once), watch,
/// reconnect with backoff. Errors are logged and the work continues; only stop() ends it. Wishes
/// (m3/plugin/wishes.h) has the rules.
///
/// Core-local. Owned by its plugin, as is the link, which outlives it; stop() before it is
/// destroyed.
class Reconciler {
 public:
  using Order = Wishes::Order;

  /// The plugin's access to the service. Everything runs on the Reconciler's core.
  class Link {
   public:
    /// Returns when orders can be sent. Has its own time limit.
    virtual Task<> connect(Ctx& ctx) = 0;
    /// Fails, with the reason as its error, when the connection is lost or silent.
    virtual Task<> watch(Ctx& ctx) = 0;
    /// Sends them all, in this order, and does not wait for their answers; each is reported by
    /// Reconciler::answered(), now or later. An error ends this connection.
    virtual Task<> send(Ctx& ctx, std::vector<Order> orders) = 0;
    /// Undoes connect(), also one that failed or was interrupted. Called more than once.
    virtual Task<> disconnect(Ctx& ctx, Status why) = 0;
    /// Grows with every sign of life of the service (received bytes), so that answers which are
    /// only slow are waited for. 0: only answers are signs of life.
    virtual std::uint64_t heard() const { return 0; }
    /// The key is established on this connection. May call want() and drop().
    virtual void on_confirmed(const std::string& key) { (void)key; }

   protected:
    ~Link() = default;
  };
  struct Options {
    std::string name;  ///< "broker.redis": prefix of log lines and errors
    /// If orders are in flight and for this long none is answered and nothing is received, the
    /// connection is abandoned.
    Nanos answer_limit = std::chrono::seconds(2);
    std::size_t window = 1000;  ///< orders under way
    BackoffConfig reconnect = server_backoff();
    Wishes::Options wishes;
  };

  Reconciler(Core& core, Link& link, Options options);
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;
  ~Reconciler();

  /// Returns when the service is reached; from then on the connection is kept. unavailable: it was
  /// not reached, and the attempt was undone: call it again. Any other error: the service refuses
  /// this app.
  Task<> start(Ctx& ctx);
  /// Ends everything; start() need not have succeeded. Waiting settled() calls fail.
  Task<> stop(Ctx& ctx);

  void want(std::string_view key);
  /// The value of the key has changed: it is established again.
  void renew(std::string_view key);
  /// Calls that wait for the key fail with cancelled.
  void drop(std::string_view key);
  /// The link found that it is missing although it was confirmed.
  void missing(std::string_view key);
  /// Returns when the key is confirmed on a connection. unavailable: there is no connection, or it
  /// was lost meanwhile; the wish stays. cancelled: it was dropped. Any other error: the service
  /// refuses it; the wish stays, and is retried slowly.
  Task<> settled(Ctx& ctx, std::string key);
  /// Reports the outcome of an order to Wishes::answered(). Answers to orders of an earlier
  /// connection are ignored.
  void answered(std::uint64_t number, const Status& status);

  /// Ends when there is a connection: at once, or when the next one is made. unavailable: it was
  /// not started, or is stopped.
  Task<> connected(Ctx& ctx);
  /// OK while connected; else why not.
  const Status& status() const noexcept { return status_; }
  /// OK while connected; else unavailable, and the reason in its text.
  Status usable() const;
  /// Connected, and every wish that is not refused is confirmed.
  bool up() const noexcept { return wishes_.up(); }
  const Wishes& wishes() const noexcept { return wishes_; }

 private:
  struct Waiting {
    Countdown open;
    Status outcome;
  };
  Task<> keep(Ctx& ctx);
  Task<> live(Ctx& ctx);
  Task<> pump(Ctx& ctx);
  Task<> wait_for_news(Ctx& ctx);
  Task<> join(Ctx& ctx);
  Task<> leave(Status why);
  bool silent();
  void news();
  void settle(const std::string& key, const Status& outcome);
  void settle_all(const Status& outcome);
  void wake_connected();

  Core& core_;
  Link& link_;
  const Options options_;
  Wishes wishes_;
  Status status_;
  bool running_ = false;
  std::shared_ptr<Countdown> away_;  // of those who wait in connected(); null: nobody does
  Backoff backoff_;
  TimePoint joined_{};
  TimePoint progress_{};  // when an order was answered, or the first of those in flight was sent
  std::uint64_t heard_ = 0;
  Channel<char> news_{1};
  std::map<std::string, std::shared_ptr<Waiting>, std::less<>> waiting_;
  Scope scope_;
};

/// Whether a connection that failed with this error may succeed a moment later, with nothing
/// changed.
constexpr bool may_pass(Errc code) noexcept {
  return code == Errc::unavailable || code == Errc::deadline_exceeded ||
         code == Errc::resource_exhausted;
}

/// For Link::watch(), if a silent connection is detected by pings: after each `interval`, `ping`
/// must return within `timeout`, or something else must be received meanwhile.
struct Pings {
  std::string who;  ///< prefix of the reason: "127.0.0.1:6379 is silent"
  Nanos interval;
  Nanos timeout;
  std::function<Task<>(Ctx&)> lost;  ///< fails with the reason when the connection is lost
  std::function<Task<>(Ctx&)> ping;
  std::function<std::uint64_t()> heard;  ///< as Link's; may be empty
};
Task<> watch_by_pings(Ctx& ctx, Pings pings);

}  // namespace m3
