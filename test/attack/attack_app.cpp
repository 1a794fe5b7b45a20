// SPDX-License-Identifier: BSL-1.0
// The app that test/attack attacks.
#include <chrono>
#include <mutex>
#include <string>

#include "attack.m3.h"
#include "m3/app/app.h"
#include "m3/async/timer.h"

namespace {

class Target final : public attack::TargetService {
 public:
  explicit Target(m3::App& app) : id_(app.app_id().to_string()), others_(app, m3::world("w")) {}

  m3::Task<attack::EchoRsp> echo(m3::Ctx& ctx, const attack::EchoReq& req) override {
    if (req.wait_ms() > 0) co_await m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms()));
    attack::EchoRsp rsp;
    rsp.set_text(req.text());
    rsp.set_answered_by(id_);
    rsp.set_filling(std::string(req.answer_bytes(), 'f'));
    co_return rsp;
  }
  m3::Task<attack::EchoRsp> relay(m3::Ctx& ctx, const attack::EchoReq& req) override {
    co_return co_await others_.echo(ctx, req);
  }
  m3::Task<> shout(m3::Ctx&, const attack::ShoutReq& req) override {
    const std::lock_guard lock(mutex_);
    heard_.set_shouts(heard_.shouts() + 1);
    heard_.set_last(req.text());
    co_return m3::ok;
  }
  m3::Task<attack::HeardRsp> heard(m3::Ctx&, const attack::HeardReq&) override {
    const std::lock_guard lock(mutex_);
    co_return heard_;
  }

 private:
  const std::string id_;
  attack::TargetClient others_;
  std::mutex mutex_;
  attack::HeardRsp heard_;
};

}  // namespace

int main(int argc, char** argv) { return m3::App("target").serve<Target>().run(argc, argv); }
