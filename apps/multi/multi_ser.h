// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "m3/app/app.h"
#include "m3/app/service_hooks.h"
#include "m3/config/schema.h"
#include "proto/multi.m3.h"

namespace multi {

/// `[app]` of the file.
struct Settings {
  std::vector<std::string> topics;
  static void describe(m3::Schema<Settings>& s) {
    s.add("topics", &Settings::topics).doc("topics to join when the app starts");
  }
};

/// Greets, and remembers the messages it received. Its handlers run concurrently, so their shared
/// state has a lock.
class MultiSer final : public proto::MultiSerService, public m3::ServiceHooks {
 public:
  static constexpr std::size_t kRemembered = 100;

  explicit MultiSer(m3::App& app) : app_(app) {}

  m3::Task<proto::Hello_Rsp> hello(m3::Ctx& ctx, const proto::Hello_Req& req) override;
  m3::Task<proto::TraceHello_Rsp> trace_hello(m3::Ctx& ctx,
                                              const proto::TraceHello_Req& req) override;
  m3::Task<proto::BreakHello_Rsp> break_hello(m3::Ctx& ctx,
                                              const proto::BreakHello_Req& req) override;
  m3::Task<> shout(m3::Ctx& ctx, const proto::Shout_Req& req) override;
  m3::Task<> tell(m3::Ctx& ctx, const proto::Tell_Req& req) override;
  m3::Task<proto::Heard_Rsp> heard(m3::Ctx& ctx, const proto::Heard_Req& req) override;

  /// Joins the topics of [app].
  m3::Task<> on_start(m3::Ctx& ctx) override;

 private:
  void remember(std::string line);

  m3::App& app_;
  std::mutex mutex_;
  std::deque<std::string> heard_;
};

}  // namespace multi
