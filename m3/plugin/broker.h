// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "m3/plugin/plugin.h"

namespace m3 {

/// Delivers messages to all subscribers of their topic: at most once, in the order of each
/// publisher and topic. Chosen by `[broker.NAME]`; started in stage store. Everything runs on core
/// 0, including the callbacks.
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
    /// The connection was lost and the subscription is restored: messages may be missing.
    virtual void on_resubscribed(std::string_view topic) = 0;

   protected:
    ~Subscriber() = default;
  };

  /// False: reaches only the apps of this process.
  virtual bool reaches_other_processes() const = 0;
  /// The largest payload.
  virtual std::size_t max_payload() const = 0;
  /// The largest backlog in bytes for a slow receiver: the server, or a core of this app that has
  /// to handle them. Messages beyond it are refused, or dropped and counted.
  virtual std::size_t max_pending() const = 0;

  /// Returns when messages published from now on will arrive. The subscription stays registered
  /// until unsubscribe(), even if this fails: unavailable, the broker cannot be reached, and it
  /// takes effect once the broker is back; permission_denied or resource_exhausted, the broker
  /// refuses this topic, and is asked again now and then. on_resubscribed() is called when a
  /// subscription whose subscribe() failed takes effect. Several subscribers of one topic are
  /// called in the order in which they subscribed; one that subscribes twice is called once.
  /// Subscribers may be added and removed in every callback.
  virtual Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) = 0;
  /// No callback follows.
  virtual void unsubscribe(std::string_view topic, Subscriber& subscriber) = 0;

  /// What publish() would return for one more message if `waiting` bytes were published before it:
  /// OK, unavailable or resource_exhausted.
  virtual Status can_publish(std::size_t waiting) const = 0;
  /// Queues the message; it is sent when the turn ends. unavailable: not connected.
  /// resource_exhausted: the unsent backlog is over the configured limit. invalid_argument: over
  /// max_payload(). permission_denied: the broker refused an earlier message to this topic
  /// (publish() returned OK for that one, but it is lost: on_refused()). An app receives its own
  /// messages, too. `notifies`: how many are reported to on_lost() if it is lost.
  virtual Status publish(std::string_view topic, std::string_view payload,
                         std::uint32_t notifies) = 0;

  /// `told` is called for each message that publish() accepted but the broker refused afterwards:
  /// it is lost. There is one listener, the app's broadcasts; an empty one removes it.
  using OnRefused = std::function<void(std::string_view topic, const Status& why)>;
  void on_refused(OnRefused told) { on_refused_ = std::move(told); }
  /// `told` is called with the number of notifies that publish() accepted but that were unsent when
  /// the connection ended. Notifies that were sent and did not arrive are not known. There is one
  /// listener, as above.
  using OnLost = std::function<void(std::uint64_t notifies)>;
  void on_lost(OnLost told) { on_lost_ = std::move(told); }

 protected:
  /// For brokers. The view may be of any text from the server.
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
