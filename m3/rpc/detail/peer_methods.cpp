// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/peer_methods.h"

#include <bit>
#include <utility>

#include "m3/base/near_names.h"

namespace m3::rpc_detail {

PeerMethods::PeerMethods(std::vector<MethodName> names) : names_(std::move(names)) {
  const std::size_t size = std::bit_ceil(names_.size() * 2 + 2);
  table_.assign(size, Known{0, nullptr, nullptr});
  for (const MethodName& method : names_) {
    std::size_t i = method.hash & (size - 1);
    while (table_[i].name) i = (i + 1) & (size - 1);
    table_[i] = Known{method.hash, &method.name, nullptr};
  }
}

Serves PeerMethods::serves(const MethodInfo& method) noexcept {
  Serves out = Serves::no;
  const std::size_t mask = table_.size() - 1;
  for (std::size_t i = method.hash & mask; table_[i].name; i = (i + 1) & mask) {
    Known& known = table_[i];
    if (known.hash != method.hash) continue;
    if (known.checked == &method) return Serves::yes;
    out = Serves::clash;
    if (*known.name != method.full_name) continue;
    known.checked = &method;
    return Serves::yes;
  }
  return out;
}

Status PeerMethods::refusal(const MethodInfo& method, std::string_view peer) {
  const std::string name(method.full_name);
  for (const MethodName& known : names_)
    if (known.hash == method.hash && known.name != method.full_name)
      return Status(Errc::internal,
                    name + " and the peer's " + known.name + " have the same number on the wire")
          .not_executed();
  std::string text(peer);
  text += " does not serve " + name;
  if (const std::string& hint = near_names(method); !hint.empty()) text += ", " + hint;
  return Status(Errc::unimplemented, std::move(text)).not_executed();
}

const std::string& PeerMethods::near_names(const MethodInfo& method) {
  const auto [found, fresh] = near_names_.try_emplace(&method);
  if (!fresh) return found->second;
  std::vector<std::string_view> names;
  names.reserve(names_.size());
  for (const MethodName& known : names_) names.push_back(known.name);
  return found->second = did_you_mean(method.full_name, names);
}

std::shared_ptr<PeerMethods> PeerMethodsPool::intern(std::vector<MethodName> names) {
  std::erase_if(tables_, [](const auto& table) { return table.expired(); });
  for (const auto& table : tables_)
    if (auto same = table.lock(); same->names() == names) return same;
  auto fresh = std::make_shared<PeerMethods>(std::move(names));
  tables_.push_back(fresh);
  return fresh;
}

}  // namespace m3::rpc_detail
