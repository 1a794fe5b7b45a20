// SPDX-License-Identifier: BSL-1.0
#include "hello.m3.h"
#include "m3/app/app.h"

class Hello final : public hello::HelloService {
 public:
  m3::Task<hello::SayRsp> say(m3::Ctx&, const hello::SayReq& req) override {
    if (req.name().empty()) co_return m3::Status(m3::Errc::invalid_argument, "name is empty");
    hello::SayRsp rsp;
    rsp.set_text("hello, " + req.name());
    co_return rsp;
  }
};

int main(int argc, char** argv) { return m3::App("hello").serve<Hello>().run(argc, argv); }
