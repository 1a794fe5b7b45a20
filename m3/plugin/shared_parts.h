// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <mutex>
#include <typeindex>
#include <unordered_map>

namespace m3 {

/// What apps that are embedded together share: the local router's list, the local broker's topics.
/// Given to each of them as App::Embedding::shared; an app that got none has its own. Safe on every
/// thread; the parts must be so too.
class SharedParts {
 public:
  /// The one T; made when first asked for.
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
