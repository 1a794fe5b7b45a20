// SPDX-License-Identifier: BSL-1.0
#include "async_ser.h"

#include "m3/async/timer.h"

namespace async {

m3::Task<> AsyncSer::trans_channel(m3::Ctx&, const proto::TransChannel_Req& req) {
  messages_.push_back(req.msg());
  if (messages_.size() > kRemembered) messages_.pop_front();
  co_return m3::ok;
}

m3::Task<proto::SSPullChannel_Rsp> AsyncSer::ss_pull_channel(m3::Ctx& ctx,
                                                             const proto::SSPullChannel_Req&) {
  proto::SSPullChannel_Rsp rsp;
  for (const proto::ChannelMsg& message : messages_) *rsp.add_msgs() = message;
  co_await m3::sleep(ctx, app_.section<Settings>()->pull_takes);
  co_return rsp;
}

}  // namespace async
