// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "m3/config/schema.h"
#include "m3/plugin/router.h"

namespace m3 {

/// `[router.static]`: the instances are listed in the file, plus this app itself. Whether they are
/// up is known only when they are called.
class StaticRouter final : public Router {
 public:
  static constexpr std::string_view kName = "static";
  static constexpr int kStage = 35;
  struct Config {
    std::vector<std::string> peers;
    static void describe(Schema<Config>& s);
  };

  StaticRouter(Env& env, Config config);
  ~StaticRouter() override;

  bool reaches_other_processes() const override { return true; }
  bool tells_others() const override { return false; }
  bool may_forget() const override { return false; }
  Task<> stop(Ctx& ctx) override;
  /// Others do not see it: they have their own lists.
  Task<> announce(Ctx& ctx, Member self) override;
  Task<> withdraw(Ctx& ctx) override;
  void watch(const ServiceId& service, Watcher& watcher) override;
  void unwatch(const ServiceId& service) override;
  Task<std::vector<Member>> members(Ctx& ctx, ServiceId service) override;
  /// Watchers get the new list.
  Task<> reload(Ctx& ctx, Config config);

 private:
  struct Watch {
    ServiceId service;
    Watcher* watcher;
  };
  void take(const Config& config);
  std::vector<Member> of(const ServiceId& service) const;
  void tell(const Watch& watch);

  Core& core_;
  std::vector<Member> peers_;
  Member self_;  // its id is empty until it is announced
  std::vector<Watch> watches_;
};

}  // namespace m3
