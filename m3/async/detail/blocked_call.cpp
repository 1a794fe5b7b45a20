// SPDX-License-Identifier: BSL-1.0
#include "m3/async/detail/blocked_call.h"

#include <utility>

#include "m3/async/core.h"

namespace m3::async_detail {

Status BlockedCall::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return over_; });
  return status_;
}

bool BlockedCall::finish(Status status) {
  const std::lock_guard lock(mutex_);
  if (over_) return false;
  over_ = true;
  status_ = std::move(status);
  changed_.notify_one();  // under the lock: *this may be destroyed as soon as the waiter has it
  return true;
}

void BlockedCalls::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
}

void BlockedCalls::close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
}

Status BlockedCalls::run(Core& core, const std::shared_ptr<BlockedCall>& call) {
  {
    const std::lock_guard lock(mutex_);
    if (!open_)
      return Status(Errc::failed_precondition,
                    "block_on was called while the runtime is not running: call start() first");
    calls_.push_back(call);
    core.post(*call);  // under the lock: after close() nothing is posted
  }
  Status ended = call->wait();
  const std::lock_guard lock(mutex_);
  std::erase(calls_, call);
  return ended;
}

void BlockedCalls::give_up() {
  static std::mutex kept_mutex;
  static auto* kept = new std::vector<std::shared_ptr<BlockedCall>>;
  const std::lock_guard lock(mutex_);
  for (const auto& call : calls_) {
    if (!call->give_up(Status(Errc::cancelled,
                              "the runtime was stopped before the task of block_on had finished")))
      continue;
    const std::lock_guard keeping(kept_mutex);
    kept->push_back(call);
  }
}

}  // namespace m3::async_detail
