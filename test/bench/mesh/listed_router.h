// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>
#include <vector>

#include "m3/plugin/router.h"

namespace bench {

/// Lists what it is told to; one service. Core 0.
class ListedRouter final : public m3::Router {
 public:
  bool reaches_other_processes() const override { return true; }
  m3::Task<> announce(m3::Ctx&, m3::Member) override { co_return m3::ok; }
  m3::Task<> withdraw(m3::Ctx&) override { co_return m3::ok; }
  void watch(const m3::ServiceId& service, Watcher& watcher) override {
    service_ = service;
    watcher_ = &watcher;
  }
  void unwatch(const m3::ServiceId&) override { watcher_ = nullptr; }
  m3::Task<std::vector<m3::Member>> members(m3::Ctx&, m3::ServiceId) override {
    co_return std::vector<m3::Member>();
  }

  bool is_watched() const { return watcher_ != nullptr; }
  void tell(std::vector<m3::Member> members) { watcher_->on_members(service_, std::move(members)); }

 private:
  m3::ServiceId service_;
  Watcher* watcher_ = nullptr;
};

}  // namespace bench
