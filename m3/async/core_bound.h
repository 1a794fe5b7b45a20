// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "m3/async/core.h"
#include "m3/base/status.h"

// Checks which thread uses an object. A core-local object has no lock: two cores that use it at
// once lose wakeups and corrupt its lists. So every use is checked, in release builds too; a check
// costs about a nanosecond.

namespace m3::async_detail {

/// Ends the process with log::fatal, because going on would corrupt data or wait for ever. It also
/// ends when log::fatal is configured to return.
[[noreturn]] void end_process(const std::string& why) noexcept;

/// True on the threads of run_blocking. They are not cores, and run beside them.
inline constinit thread_local bool on_helper_thread = false;

/// Whether this thread may use objects of `core`. A thread that is neither a core nor a helper may:
/// it sets things up before the cores run and takes them down afterwards, and must not use them
/// meanwhile.
inline bool may_use(const Core& core) noexcept {
  const Core* here = Core::try_current();
  return here == &core || (!here && !on_helper_thread);
}

/// "this Serial belongs to core 0 and was used on core 1: ADVICE", as failed_precondition.
Status wrong_core(std::string_view what, unsigned owner, std::string_view advice);
/// The same for a context that was captured instead of taken as a parameter.
Status wrong_core(const Ctx& ctx);

/// The core that a core-local object belongs to: the one it was created with, or the first one that
/// uses it. Safe to call on any thread.
class CoreBound {
 public:
  CoreBound() noexcept = default;
  explicit CoreBound(const Core& core) noexcept : owner_(&core), index_(core.index()) {}
  CoreBound(const CoreBound&) = delete;
  CoreBound& operator=(const CoreBound&) = delete;

  /// True when this thread may use the object.
  bool here() noexcept {
    const Core* now = Core::try_current();
    if (now && owner_.load(std::memory_order_relaxed) == now) [[likely]]
      return true;
    return first_use(now);
  }
  /// The error of an operation of the object after here() was false.
  Status refusal(std::string_view what) const;
  /// For operations that cannot fail: ends the process when this thread must not use the object.
  void demand(std::string_view what) noexcept {
    if (!here()) [[unlikely]]
      end_process(refusal(what).text());
  }

 private:
  bool first_use(const Core* now) noexcept;

  std::atomic<const Core*> owner_{nullptr};
  std::atomic<unsigned> index_{0};
};

/// For destructors: ends the process when coroutines still wait on the object.
inline void demand_no_waiters(bool none, const char* what) noexcept {
  if (!none) [[unlikely]]
    end_process(std::string("a ") + what +
                " was destroyed while coroutines wait on it or hold it: let them finish before it "
                "is destroyed");
}

}  // namespace m3::async_detail
