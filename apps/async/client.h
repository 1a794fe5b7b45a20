// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "proto/async.m3.h"

namespace async {

/// How other apps use async: written by the service's owner. A value; its app outlives it.
class Client {
 public:
  /// Options as for any generated client: m3::world("world2").
  template <class... Options>
  explicit Client(m3::Host& host, Options... options) : async_(host, std::move(options)...) {}

  struct Line {
    std::string name;
    std::string content;
    friend bool operator==(const Line&, const Line&) = default;
  };
  /// To the channel of every instance.
  m3::Task<> post(m3::Ctx& ctx, std::string name, std::string content) {
    if (name.empty())
      co_return m3::Status(m3::Errc::invalid_argument, "name is empty").not_executed();
    proto::TransChannel_Req req;
    req.mutable_msg()->set_name(std::move(name));
    req.mutable_msg()->set_content(std::move(content));
    co_await async_.trans_channel(ctx, req, m3::to::all());
    co_return m3::ok;
  }
  /// The channel of one instance, which takes its time: give the call a deadline that allows it.
  m3::Task<std::vector<Line>> pull(m3::Ctx& ctx, m3::Route route = m3::to::random()) {
    const proto::SSPullChannel_Req req;
    proto::SSPullChannel_Rsp rsp;
    co_await async_.ss_pull_channel(ctx, req, rsp, std::move(route));
    std::vector<Line> lines;
    for (const proto::ChannelMsg& message : rsp.msgs())
      lines.push_back({message.name(), message.content()});
    co_return lines;
  }

 private:
  proto::AsyncSerClient async_;
};

}  // namespace async
