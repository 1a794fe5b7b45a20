// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3 {
class Status;
}

namespace m3::rpc_detail {

/// A waiter for a connection. Core-local. Both functions may send or record the outcome; calls,
/// dials and handlers start later, from the ready queue.
class LinkWaiter {
 public:
  virtual void on_link_ready() = 0;
  /// Nothing was sent.
  virtual void on_link_failed(const Status& why) = 0;
  /// It takes long, or the instance is leaving. True: the waiter uses another instance and no
  /// longer waits.
  virtual bool goes_elsewhere() { return false; }

 protected:
  ~LinkWaiter() = default;

 private:
  friend class Link;
  LinkWaiter* prev_ = nullptr;
  LinkWaiter* next_ = nullptr;
};

}  // namespace m3::rpc_detail
