// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/base/status.h"

namespace m3 {
class Core;
}

namespace m3::async_detail {

/// The work of a block_on() on its core, for which a thread waits. Its run ends with end(), at once
/// or later, on that core.
class BlockedCall : public Runnable {
 public:
  using Runnable::Runnable;
  virtual ~BlockedCall() = default;

  /// Until end(): ok. Or until give_up(): its error.
  Status wait();
  void end() { finish(ok); }
  /// False: it has ended already.
  bool give_up(Status why) { return finish(std::move(why)); }

 private:
  bool finish(Status status);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  Status status_;
};

/// The threads that wait in block_on(). Shared with them: they may leave after the Runtime is gone.
class BlockedCalls {
 public:
  void open();
  /// From here on no call is taken.
  void close();
  bool is_open() const;
  /// Has the call run on `core` and waits for it. failed_precondition: not open.
  Status run(Core& core, const std::shared_ptr<BlockedCall>& call);
  /// After close(), when the cores have ended. Calls that still wait never end: their threads get
  /// cancelled, and they stay suspended until the process ends, because the cores still refer to
  /// them.
  void give_up();

 private:
  mutable std::mutex mutex_;
  bool open_ = false;
  std::vector<std::shared_ptr<BlockedCall>> calls_;
};

}  // namespace m3::async_detail
