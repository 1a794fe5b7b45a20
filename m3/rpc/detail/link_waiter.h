// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3 {
class Status;
}

namespace m3::rpc_detail {

/// Who waits for a connection. Core-local. Both may send or note what happened; calls, dials and
/// handlers begin later, from the ready queue.
class LinkWaiter {
 public:
  virtual void on_link_ready() = 0;
  /// Nothing was sent.
  virtual void on_link_failed(const Status& why) = 0;
  /// It takes long, or the instance is leaving. True: the waiter has found another way and waits
  /// no more.
  virtual bool goes_elsewhere() { return false; }

 protected:
  ~LinkWaiter() = default;

 private:
  friend class Link;
  LinkWaiter* prev_ = nullptr;
  LinkWaiter* next_ = nullptr;
};

}  // namespace m3::rpc_detail
