// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "m3/async/channel.h"
#include "m3/async/core.h"
#include "m3/net/connector.h"

namespace m3::net_detail {

/// The look-ups of one Connector. Core-local, except for the results of the threads.
class NameLookups {
 public:
  /// A dead name server blocks one thread per name, and no more than these.
  static constexpr std::size_t kMost = 32;
  class Op;

  NameLookups(Core& core, Connector::Resolve resolve);
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;
  ~NameLookups();

  std::size_t size() const { return pending_.size(); }

 private:
  /// Shared with the threads, which may outlive everything else.
  struct Shared {
    std::mutex mutex;
    Core* core;  // null: no one is waiting any more
  };
  struct Pending;
  Result<std::shared_ptr<Pending>> ask(const std::string& host);
  void came(Pending& pending);

  const Connector::Resolve resolve_;
  const std::shared_ptr<Shared> shared_;
  std::map<std::string, std::shared_ptr<Pending>> pending_;
};

/// One name, for all its waiters.
struct NameLookups::Pending final : async_detail::Runnable {
  Pending(NameLookups& lookups, std::string name)
      : Runnable(async_detail::run_member<Runnable, &Pending::back>),
        owner(&lookups),
        host(std::move(name)) {}
  void back() {
    const std::shared_ptr<Pending> self = std::move(keep);
    if (owner) owner->came(*this);
  }
  NameLookups* owner;  // on the core; null: destroyed
  const std::string host;
  Result<std::vector<std::string>> found{std::vector<std::string>()};
  async_detail::OpQueue<Op> waiting;
  std::shared_ptr<Pending> keep;  // while it is in the core's inbox
};

/// Waits for the addresses of a name.
class NameLookups::Op final : public async_detail::CtxOp {
 public:
  using value_type = std::vector<std::string>;
  Op(Ctx& ctx, NameLookups& lookups, const std::string& host)
      : CtxOp(ctx), lookups_(lookups), host_(host) {}
  Op(Op&& other) noexcept : CtxOp(other.ctx()), lookups_(other.lookups_), host_(other.host_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused()) return true;
    auto asked = lookups_.ask(host_);
    if (!asked.is_ok()) {
      error() = std::move(asked).status();
      return true;
    }
    pending_ = *std::move(asked);
    pending_->waiting.push(*this);
    suspend(waiter);
    return false;
  }
  value_type take() { return std::move(found_); }

 private:
  friend class NameLookups;
  friend class async_detail::OpQueue<Op>;
  void came(const Result<std::vector<std::string>>& found) {
    if (!found.is_ok()) return finish(found.status());
    found_ = *found;
    finish();
  }
  void detach() noexcept override { pending_->waiting.remove(*this); }

  NameLookups& lookups_;
  const std::string& host_;
  std::shared_ptr<Pending> pending_;
  value_type found_;
  Op* queue_prev_ = nullptr;
  Op* queue_next_ = nullptr;
};

/// getaddrinfo: addresses as text, in the system's order.
Result<std::vector<std::string>> system_resolve(const std::string& host);

}  // namespace m3::net_detail
