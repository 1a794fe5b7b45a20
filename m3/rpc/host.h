// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/base/app_id.h"

namespace m3 {

class Broadcaster;
class Caller;

/// The app, as clients see it: who calls, and the way out. App is one.
class Host {
 public:
  virtual const AppId& app_id() const = 0;
  /// The current core's.
  virtual Caller& caller() = 0;
  /// Null: none of its notifies can go to a topic, and those to all go to each instance.
  virtual Broadcaster* broadcaster() { return nullptr; }

 protected:
  ~Host() = default;
};

}  // namespace m3
