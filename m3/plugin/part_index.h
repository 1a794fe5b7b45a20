// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <typeindex>
#include <unordered_map>

#include "m3/base/status.h"

namespace m3 {

/// Objects that the rooms and parts of one app offer to each other and to handlers, found by type:
/// `env.part<AdminPages>()` in a plugin, `ctx.host()->part<Roster>()` in a handler. Owned by the
/// app, which outlives its users. Filled while the app is created, then only read, on any core.
class PartIndex {
 public:
  /// `part` is owned by the caller and found as a T. already_exists: there is one of that type.
  template <class T>
  Status add(T& part) {
    return add(typeid(T), &part);
  }
  /// Null: there is none (yet).
  template <class T>
  T* find() const {
    return static_cast<T*>(find(typeid(T)));
  }
  void* find(std::type_index type) const {
    const auto at = parts_.find(type);
    return at == parts_.end() ? nullptr : at->second;
  }

 private:
  Status add(std::type_index type, void* part);

  std::unordered_map<std::type_index, void*> parts_;
};

}  // namespace m3
