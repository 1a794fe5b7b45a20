// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string_view>

#include "m3/config/schema.h"
#include "m3/plugin/router.h"

namespace m3 {

/// `[router.local]`, the default: the apps of this process that share their parts
/// (App::Embedding::shared) find each other. Nothing leaves the process.
class LocalRouter final : public Router {
 public:
  static constexpr std::string_view kName = "local";
  static constexpr int kStage = 35;
  struct Config {
    static void describe(Schema<Config>&) {}
  };

  LocalRouter(Env& env, const Config&);
  ~LocalRouter() override;

  bool reaches_other_processes() const override { return false; }
  bool may_forget() const override { return false; }
  Task<> stop(Ctx& ctx) override;
  Task<> announce(Ctx& ctx, Member self) override;
  Task<> withdraw(Ctx& ctx) override;
  void watch(const ServiceId& service, Watcher& watcher) override;
  void unwatch(const ServiceId& service) override;
  Task<std::vector<Member>> members(Ctx& ctx, ServiceId service) override;

 private:
  class List;
  struct Watch;

  Core& core_;
  std::shared_ptr<List> list_;
  std::vector<std::shared_ptr<Watch>> watches_;
  AppId self_;
};

}  // namespace m3
