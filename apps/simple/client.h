// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include "m3/async/ctx.h"
#include "proto/simple.m3.h"

namespace simple {

/// How other apps greet: written by the service's owner. A value; its app outlives it.
class Client {
 public:
  static constexpr std::size_t kLongestName = 64;

  /// Options as for any generated client: m3::world("world2"), m3::func("simple").
  template <class... Options>
  explicit Client(m3::Host& host, Options... options) : simple_(host, std::move(options)...) {}

  /// The greeting for `name`, from any instance. A name that no instance would accept is refused
  /// here, before anything is sent.
  m3::Task<std::string> hello_world(m3::Ctx& ctx, std::string name) {
    if (name.empty()) co_return refused("name is empty");
    if (name.size() > kLongestName) co_return refused("name has more than 64 bytes");
    proto::HelloWorld_Req req;
    req.set_req(std::move(name));
    proto::HelloWorld_Rsp rsp;
    co_await simple_.hello_world(ctx, req, rsp, m3::to::random());
    co_return std::move(*rsp.mutable_rsp());
  }

 private:
  static m3::Status refused(const char* why) {
    return m3::Status(m3::Errc::invalid_argument, why).not_executed();
  }

  proto::SimpleSerClient simple_;
};

}  // namespace simple
