// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <typeindex>
#include <unordered_map>

namespace m3 {

/// Objects that the rooms and parts of one app offer to each other and to handlers, found by type:
/// `env.part<AdminPages>()` in a plugin, `ctx.host()->part<Roster>()` in a handler. Owned by the
/// app, which outlives its users. Filled while the app is created, then only read, on any core.
class PartIndex {
 public:
  /// `part` is owned by the caller and found as a T. One of each type.
  template <class T>
  void add(T& part) {
    [[maybe_unused]] const bool is_new = parts_.emplace(typeid(T), &part).second;
    assert(is_new && "an app has only one part of each type");
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
  std::unordered_map<std::type_index, void*> parts_;
};

}  // namespace m3
