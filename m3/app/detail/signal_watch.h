// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>

#include "m3/async/core.h"

namespace m3::app_detail {

/// Hands the signals TERM, INT, HUP and USR1 of the process to a function on a core. They belong to
/// the process: one watch at a time. Made and destroyed on that core.
class SignalWatch {
 public:
  SignalWatch(Core& core, std::function<void(int signal)> on_signal);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3::app_detail
