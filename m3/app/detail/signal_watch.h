// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>

#include "m3/async/core.h"

namespace m3::app_detail {

/// From now on the signals TERM, INT, HUP and USR1 do not end the process: they are counted and
/// wait for a SignalWatch, so that one that arrives while the app is not up yet is not lost. A
/// program may be started with them blocked; they are unblocked here, for the calling thread.
/// Nothing is undone: at the end of run() a late signal changes nothing any more.
void catch_signals() noexcept;

/// Passes caught signals to a function on a core, including those from before its construction.
/// Signals belong to the process: one watch at a time. Created and destroyed on that core.
class SignalWatch {
 public:
  /// Throws std::system_error when there are too few descriptors.
  SignalWatch(Core& core, std::function<void(int signal)> on_signal);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3::app_detail
