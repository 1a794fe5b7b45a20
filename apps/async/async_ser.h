// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>

#include "m3/app/app.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "proto/async.m3.h"

namespace async {

/// `[app]` of the file.
struct Settings {
  m3::Duration pull_takes = std::chrono::seconds(5);
  static void describe(m3::Schema<Settings>& s) {
    s.add("pull_takes", &Settings::pull_takes)
        .doc("how long SSPullChannel takes, with its turn")
        .range(std::chrono::milliseconds(0), std::chrono::minutes(1))
        .reloadable();
  }
};

/// A channel of messages. Served by serve<AsyncSer>(m3::serial): its handlers run one at a time, so
/// its list needs no lock.
class AsyncSer final : public proto::AsyncSerService {
 public:
  static constexpr std::size_t kRemembered = 100;

  explicit AsyncSer(m3::App& app) : app_(app) {}

  m3::Task<> trans_channel(m3::Ctx& ctx, const proto::TransChannel_Req& req) override;
  /// A sleep keeps the turn: messages that arrive meanwhile wait until it is over.
  m3::Task<proto::SSPullChannel_Rsp> ss_pull_channel(m3::Ctx& ctx,
                                                     const proto::SSPullChannel_Req& req) override;

 private:
  m3::App& app_;
  std::deque<proto::ChannelMsg> messages_;
};

}  // namespace async
