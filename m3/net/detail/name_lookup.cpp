// SPDX-License-Identifier: BSL-1.0
#include "m3/net/detail/name_lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "m3/async/side_thread.h"

namespace m3::net_detail {

NameLookups::NameLookups(Core& core, Connector::Resolve resolve)
    : resolve_(resolve ? std::move(resolve) : system_resolve), shared_(std::make_shared<Shared>()) {
  shared_->core = &core;
}

NameLookups::~NameLookups() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->core = nullptr;
  }
  for (const auto& [host, pending] : pending_) pending->owner = nullptr;
}

Result<std::shared_ptr<NameLookups::Pending>> NameLookups::ask(const std::string& host) {
  if (const auto at = pending_.find(host); at != pending_.end()) return at->second;
  if (pending_.size() >= kMost)
    return Status(Errc::unavailable, "look up " + host + ": the name server has not answered for " +
                                         std::to_string(kMost) + " other names");
  auto pending = std::make_shared<Pending>(*this, host);
  Status started = start_side_thread([pending, shared = shared_, resolve = resolve_]() mutable {
    try {
      pending->found = resolve(pending->host);
    } catch (const std::exception& error) {
      pending->found = Status(Errc::internal, error.what());
    }
    const std::lock_guard lock(shared->mutex);
    if (!shared->core) return;
    Pending& back = *pending;
    back.keep = std::move(pending);
    shared->core->post(back);
  });
  if (!started) return std::move(started).add_context("look up " + host);
  pending_.emplace(host, pending);
  return pending;
}

void NameLookups::came(Pending& pending) {
  if (pending.found.is_ok() && pending.found->empty())
    pending.found = Status(Errc::unavailable, "the name has no addresses");
  if (!pending.found.is_ok())
    pending.found =
        Status(Errc::unavailable, "look up " + pending.host + ": " + pending.found.status().text());
  pending_.erase(pending.host);
  while (Op* op = pending.waiting.pop()) op->came(pending.found);
}

Result<std::vector<std::string>> system_resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error) {
    const char* why = error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error);
    return Status(Errc::unavailable, why);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  std::vector<std::string> out;
  for (const addrinfo* at = list; at; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
        0)
      out.emplace_back(text);
  }
  return out;
}

}  // namespace m3::net_detail
