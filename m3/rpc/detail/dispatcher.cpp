// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/dispatcher.h"

#include <bit>
#include <memory>
#include <string>

namespace m3 {

Status Dispatcher::add(Service& service, CallRunner* runner) {
  if (!runner && service.takes_over()) runner = &service;
  for (const Service* known : services_)
    if (known->service_name() == service.service_name())
      return Status(Errc::already_exists, "service " + std::string(service.service_name()) +
                                              " is served twice in one app");
  for (const MethodBinding& binding : service.bindings()) {
    if (const Entry* clash = find(binding.info->hash))
      return Status(Errc::already_exists, "methods " + std::string(binding.info->full_name) +
                                              " and " +
                                              std::string(clash->binding.info->full_name) +
                                              " have the same number on the wire: rename one");
    auto entry = std::make_unique<Entry>();
    entry->service = &service;
    entry->binding = binding;
    entry->index = static_cast<std::uint32_t>(entries_.size());
    entry->runner = runner;
    entry->requests = metrics_.counter("m3_rpc_requests_total", "Calls that reached a handler",
                                       {{"method", std::string(binding.info->full_name)}});
    entries_.push_back(std::move(entry));
    rebuild();
  }
  services_.push_back(&service);
  return ok;
}

void Dispatcher::rebuild() {
  const std::size_t size = std::bit_ceil(entries_.size() * 2 + 2);
  table_.assign(size, Slot());
  mask_ = size - 1;
  for (const auto& entry : entries_) {
    std::size_t i = entry->binding.info->hash & mask_;
    while (table_[i].entry) i = (i + 1) & mask_;
    table_[i].hash = entry->binding.info->hash;
    table_[i].entry = entry.get();
  }
}

std::vector<MethodName> Dispatcher::names() const {
  std::vector<MethodName> out;
  for (const auto& entry : entries_) {
    MethodName name;
    name.hash = entry->binding.info->hash;
    name.name = std::string(entry->binding.info->full_name);
    out.push_back(std::move(name));
  }
  return out;
}

}  // namespace m3
