// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "proto/multi.m3.h"

namespace multi {

/// How other apps use multi: written by the service's owner. A value; its app outlives it.
class Client {
 public:
  /// Options as for any generated client: m3::world("world2").
  template <class... Options>
  explicit Client(m3::Host& host, Options... options) : multi_(host, std::move(options)...) {}

  struct Greeting {
    std::string text;
    std::string by;
  };
  /// From any instance, or from the one selected by `route`.
  m3::Task<Greeting> hello(m3::Ctx& ctx, std::string name, m3::Route route = m3::to::random()) {
    if (name.empty())
      co_return m3::Status(m3::Errc::invalid_argument, "name is empty").not_executed();
    proto::Hello_Req req;
    req.set_req(std::move(name));
    proto::Hello_Rsp rsp;
    co_await multi_.hello(ctx, req, rsp, std::move(route));
    co_return Greeting{std::move(*rsp.mutable_rsp()), std::move(*rsp.mutable_by())};
  }
  /// To every instance.
  m3::Task<> shout(m3::Ctx& ctx, std::string text) {
    proto::Shout_Req req;
    req.set_text(std::move(text));
    co_await multi_.shout(ctx, req, m3::to::all());
    co_return m3::ok;
  }
  /// To the instances that joined the topic.
  m3::Task<> tell(m3::Ctx& ctx, std::string topic, std::string text) {
    proto::Tell_Req req;
    req.set_text(std::move(text));
    co_await multi_.tell(ctx, req, m3::to::topic(std::move(topic)));
    co_return m3::ok;
  }
  /// The messages that one instance received.
  m3::Task<std::vector<std::string>> heard(m3::Ctx& ctx, const m3::AppId& app) {
    const proto::Heard_Req req;
    proto::Heard_Rsp rsp;
    co_await multi_.heard(ctx, req, rsp, m3::to::app(app));
    co_return std::vector<std::string>(rsp.lines().begin(), rsp.lines().end());
  }

 private:
  proto::MultiSerClient multi_;
};

}  // namespace multi
