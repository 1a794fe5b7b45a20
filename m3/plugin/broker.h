// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "m3/plugin/plugin.h"

namespace m3 {

/// Carries messages to everybody who subscribed to their topic: at most once, in the order of each
/// publisher and topic. Chosen by `[broker.NAME]`; started in stage store. All of it runs on core
/// 0, and the callbacks too.
///
/// Topics are 1 to 255 of the characters letters, digits, '-', '_' and '.', no '.' first, last or
/// twice in a row: is_topic(). Payloads are bytes.
class Broker : public Plugin {
 public:
  static constexpr std::string_view kKind = "broker";

  class Subscriber {
   public:
    /// The views end with the call.
    virtual void on_message(std::string_view topic, std::string_view payload) = 0;
    /// The connection was lost and the subscription is there again: messages may be missing.
    virtual void on_resubscribed(std::string_view topic) = 0;

   protected:
    ~Subscriber() = default;
  };

  /// False: reaches only the apps of this process.
  virtual bool reaches_other_processes() const = 0;
  /// The largest payload that it carries.
  virtual std::size_t max_payload() const = 0;
  /// How many bytes may wait for somebody who is behind: the server, or a core of this app that has
  /// to handle them. What comes beyond it is refused, or dropped and counted.
  virtual std::size_t max_pending() const = 0;

  /// Ends when messages published from now on will come. The wish stays until unsubscribe(), also
  /// when this fails: unavailable, the broker cannot be reached, and the wish is met when it can
  /// be; permission_denied or resource_exhausted, the broker refuses this topic, and is asked again
  /// now and then. on_resubscribed() follows when a wish whose subscribe() failed is met. Several
  /// subscribers of one topic are told in the order in which they came; one that comes twice is
  /// told once. Subscribers may come and go in every callback.
  virtual Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) = 0;
  /// No callback follows.
  virtual void unsubscribe(std::string_view topic, Subscriber& subscriber) = 0;

  /// What publish() would answer to one more message if `waiting` bytes were published before it:
  /// OK, unavailable or resource_exhausted.
  virtual Status can_publish(std::size_t waiting) const = 0;
  /// Queues the message; it leaves when the turn ends. unavailable: not connected.
  /// resource_exhausted: what waits to be sent is over the configured limit. invalid_argument: over
  /// max_payload(). permission_denied: the broker refused an earlier message to this topic (that
  /// one was answered OK and is lost: on_refused()). An app hears its own messages too. `notifies`:
  /// what it counts for when it is lost: on_lost().
  virtual Status publish(std::string_view topic, std::string_view payload,
                         std::uint32_t notifies) = 0;

  /// `told` hears of each message that publish() took and the broker refused afterwards: it is
  /// lost. There is one listener, the app's broadcasts; an empty one ends that.
  using OnRefused = std::function<void(std::string_view topic, const Status& why)>;
  void on_refused(OnRefused told) { on_refused_ = std::move(told); }
  /// `told` hears how many notifies publish() took which had not left when the connection ended.
  /// What had left and did not arrive it cannot know. There is one listener, as above.
  using OnLost = std::function<void(std::uint64_t notifies)>;
  void on_lost(OnLost told) { on_lost_ = std::move(told); }

 protected:
  /// For brokers. The view may be of anything that the server said.
  void tell_refused(std::string_view topic, const Status& why) const {
    if (on_refused_) on_refused_(topic, why);
  }
  void tell_lost(std::uint64_t notifies) const {
    if (notifies > 0 && on_lost_) on_lost_(notifies);
  }

 private:
  OnRefused on_refused_;
  OnLost on_lost_;
};

bool is_topic(std::string_view topic) noexcept;

}  // namespace m3
