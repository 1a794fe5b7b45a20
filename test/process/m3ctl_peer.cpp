// SPDX-License-Identifier: BSL-1.0
// An app that m3ctl's tests call.
#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "m3/app/app.h"
#include "m3/async/timer.h"
#include "m3ctl_peer.m3.h"
#include "plugins/router/static/static_router.h"

namespace {

class Peer final : public peer::PeerService {
 public:
  explicit Peer(m3::App& app) : app_(app) {}

  m3::Task<peer::EchoRsp> echo(m3::Ctx& ctx, const peer::EchoReq& req) override {
    if (const auto seen = ctx.meta("colour"); !seen.empty())
      if (m3::Status set = ctx.set_reply_meta("seen", std::string(seen)); !set) co_return set;
    if (req.wait_ms() > 0) co_await m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms()));
    if (req.fail_with() > 0)
      co_return m3::Status(m3::errc_from_number(req.fail_with()), "as asked")
          .with_app_code(7)
          .with_retry_after(std::chrono::milliseconds(250));
    peer::EchoRsp rsp;
    *rsp.mutable_echo() = req;
    rsp.set_answered_by(app_.app_id().to_string());
    co_return rsp;
  }
  m3::Task<peer::EchoRsp> by_key(m3::Ctx&, const peer::KeyReq&) override {
    peer::EchoRsp rsp;
    rsp.set_answered_by(app_.app_id().to_string());
    co_return rsp;
  }
  m3::Task<peer::EchoRsp> named(m3::Ctx&, const peer::OtherReq&) override {
    peer::EchoRsp rsp;
    rsp.set_answered_by(app_.app_id().to_string());
    co_return rsp;
  }
  m3::Task<> tell(m3::Ctx&, const peer::Notice& notice) override { return note(notice); }
  m3::Task<> shout(m3::Ctx&, const peer::Notice& notice) override { return note(notice); }
  m3::Task<> post(m3::Ctx&, const peer::Notice& notice) override { return note(notice); }
  m3::Task<peer::ToldRsp> told(m3::Ctx&, const peer::ToldReq&) override {
    peer::ToldRsp rsp;
    const std::lock_guard lock(mutex_);
    for (const std::string& text : told_) rsp.add_texts(text);
    co_return rsp;
  }
  m3::Task<peer::OddRsp> odd(m3::Ctx&, const peer::OddReq& req) override {
    peer::OddRsp rsp;
    if (req.bad_text())
      rsp.set_text("a\xff");
    else
      rsp.mutable_at()->set_seconds(999'999'999'999'999);
    co_return rsp;
  }

 private:
  m3::Task<> note(const peer::Notice& notice) {
    const std::lock_guard lock(mutex_);
    told_.push_back(notice.text());
    co_return m3::ok;
  }

  m3::App& app_;
  std::mutex mutex_;
  std::vector<std::string> told_;
};

class Other final : public peer::OtherService {};

/// A router that m3ctl does not contain; it lists peers as router.static does.
class OwnRouter final : public m3::Router {
 public:
  static constexpr std::string_view kKind = "router", kName = "own";
  static constexpr int kStage = 35;
  struct Config : m3::StaticRouter::Config {
    static void describe(m3::Schema<Config>& s) {
      s.add("peers", &Config::peers).doc("instances that this app may call");
    }
  };
  OwnRouter(m3::Env& env, Config config) : list_(env, std::move(config)) {}

  bool reaches_other_processes() const override { return list_.reaches_other_processes(); }
  bool tells_others() const override { return list_.tells_others(); }
  bool may_forget() const override { return list_.may_forget(); }
  m3::Task<> stop(m3::Ctx& ctx) override { return list_.stop(ctx); }
  m3::Task<> announce(m3::Ctx& ctx, m3::Member self) override {
    return list_.announce(ctx, std::move(self));
  }
  m3::Task<> withdraw(m3::Ctx& ctx) override { return list_.withdraw(ctx); }
  void watch(const m3::ServiceId& service, Watcher& watcher) override {
    list_.watch(service, watcher);
  }
  void unwatch(const m3::ServiceId& service) override { list_.unwatch(service); }
  m3::Task<std::vector<m3::Member>> members(m3::Ctx& ctx, m3::ServiceId service) override {
    return list_.members(ctx, std::move(service));
  }

 private:
  m3::StaticRouter list_;
};

}  // namespace

int main(int argc, char** argv) {
  return m3::App("peer").serve<Peer>().serve<Other>().plugin<OwnRouter>().run(argc, argv);
}
