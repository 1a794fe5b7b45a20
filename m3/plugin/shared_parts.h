// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <mutex>
#include <typeindex>
#include <unordered_map>

namespace m3 {

/// Objects shared by apps that are embedded together: the local router's list, the local broker's
/// topics. Each gets it as App::Embedding::shared; an app without one has its own. Thread-safe; the
/// parts must be, too.
class SharedParts {
 public:
  /// The only T; created on first use.
  template <class T>
  std::shared_ptr<T> get() {
    std::lock_guard lock(mutex_);
    std::shared_ptr<void>& part = parts_[typeid(T)];
    if (!part) part = std::make_shared<T>();
    return std::static_pointer_cast<T>(part);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> parts_;
};

}  // namespace m3
