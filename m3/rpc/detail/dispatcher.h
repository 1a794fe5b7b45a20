// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "m3/obs/metric.h"
#include "m3/rpc/service.h"
#include "m3/wire/hello.h"

namespace m3 {

/// The methods that an app serves. Filled before it listens, then only read, by every core.
class Dispatcher {
 public:
  struct Entry {
    Service* service = nullptr;
    MethodBinding binding;
    std::uint32_t index = 0;       // from 0, without gaps
    CallRunner* runner = nullptr;  // null: the handler runs where the call arrived
    mutable Counter requests;
  };

  explicit Dispatcher(MetricRegistry& metrics) : metrics_(metrics) {}

  /// already_exists: a service of that name, or a method with the same hash, is there.
  /// `runner`: runs the calls; null: the service's word.
  Status add(Service& service, CallRunner* runner = nullptr);
  /// nullptr when no method has this hash.
  const Entry* find(std::uint32_t hash) const noexcept {
    if (table_.empty()) return nullptr;
    for (std::size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = table_[i];
      if (slot.entry == nullptr) return nullptr;
      if (slot.hash == hash) return slot.entry;
    }
  }
  /// For the hello.
  std::vector<MethodName> names() const;
  const std::vector<Service*>& services() const noexcept { return services_; }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    const Entry* entry = nullptr;
  };
  void rebuild();

  MetricRegistry& metrics_;
  std::vector<Service*> services_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<Slot> table_;
  std::size_t mask_ = 0;
};

}  // namespace m3
