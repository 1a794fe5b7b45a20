// SPDX-License-Identifier: BSL-1.0
#include "simple_ser.h"

namespace simple {

m3::Task<proto::HelloWorld_Rsp> SimpleSer::hello_world(m3::Ctx&, const proto::HelloWorld_Req& req) {
  proto::HelloWorld_Rsp rsp;
  rsp.set_rsp("HelloWorld , " + req.req());
  co_return rsp;
}

}  // namespace simple
