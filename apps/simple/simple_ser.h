// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/async/ctx.h"
#include "proto/simple.m3.h"

namespace simple {

/// Answers everyone with a greeting. Its handlers run concurrently.
class SimpleSer final : public proto::SimpleSerService {
 public:
  m3::Task<proto::HelloWorld_Rsp> hello_world(m3::Ctx& ctx,
                                              const proto::HelloWorld_Req& req) override;
};

}  // namespace simple
