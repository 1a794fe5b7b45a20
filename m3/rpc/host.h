// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <typeindex>

#include "m3/base/app_id.h"

namespace m3 {

class Broadcaster;
class Caller;

/// The app, as clients see it: the calling app and its Caller. App is one.
class Host {
 public:
  virtual const AppId& app_id() const = 0;
  /// The current core's.
  virtual Caller& caller() = 0;
  /// Null: notifies to topics fail, and notifies to all are sent to each instance in turn.
  virtual Broadcaster* broadcaster() { return nullptr; }
  /// The app's part of that type (m3/plugin/part_index.h). Null: it has none.
  template <class T>
  T* part() {
    return static_cast<T*>(find_part(typeid(T)));
  }

 protected:
  virtual void* find_part(std::type_index) { return nullptr; }
  ~Host() = default;
};

}  // namespace m3
