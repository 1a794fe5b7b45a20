// SPDX-License-Identifier: BSL-1.0
// An app to break: ./fault-app -idstr dev.w.fault.1 -conf FILE
#include <dlfcn.h>

#include <cstdlib>
#include <ctime>
#include <unordered_set>

#include "fault.m3.h"
#include "m3/app/app.h"
#include "m3/async/timer.h"
#include "support/process_facts.h"

/// A machine whose clock is wrong by M3_FAULT_CLOCK seconds.
extern "C" int clock_gettime(clockid_t which, timespec* out) noexcept {
  using Read = int (*)(clockid_t, timespec*);
  static const Read real = reinterpret_cast<Read>(dlsym(RTLD_NEXT, "clock_gettime"));
  static const char* const said = std::getenv("M3_FAULT_CLOCK");
  static const long wrong = said ? std::atol(said) : 0;
  const int outcome = real(which, out);
  if (which == CLOCK_REALTIME) out->tv_sec += wrong;
  return outcome;
}

namespace fault {
namespace {

std::atomic<bool> sick{false};

using namespace std::chrono_literals;

class FaultSer final : public FaultService {
 public:
  explicit FaultSer(m3::App& app) : app_(app), by_(app.app_id().to_string()) {}

  m3::Task<WorkRsp> work(m3::Ctx& ctx, const WorkReq& req) override {
    begin(req, true);
    co_return co_await answer(ctx, req);
  }
  m3::Task<WorkRsp> work_again(m3::Ctx& ctx, const WorkReq& req) override {
    begin(req, false);
    co_return co_await answer(ctx, req);
  }
  m3::Task<> shout(m3::Ctx&, const ShoutReq& req) override {
    const std::lock_guard lock(mutex_);
    counts_.set_last_shout(req.number());
    counts_.set_shouts(counts_.shouts() + 1);
    co_return m3::ok;
  }
  m3::Task<BehaveRsp> behave(m3::Ctx&, const BehaveReq& req) override {
    code_ = req.code() ? req.code() : static_cast<std::uint32_t>(m3::Errc::unavailable);
    mode_ = req.mode();
    sick = req.mode() == BehaveReq::SICK;
    co_return BehaveRsp();
  }
  m3::Task<RelayRsp> relay(m3::Ctx& ctx, const RelayReq& req) override {
    FaultClient others(app_);
    if (req.shout() > 0) {
      ShoutReq shout;
      shout.set_number(req.shout());
      co_await others.shout(ctx, shout);
      co_return RelayRsp();
    }
    const CountReq nothing;
    auto answer = co_await m3::as_result(others.count(ctx, nothing, m3::to::app(req.to())));
    RelayRsp rsp;
    rsp.set_outcome(answer.is_ok() ? "ok" : answer.status().to_string());
    co_return rsp;
  }
  m3::Task<CountRsp> count(m3::Ctx&, const CountReq&) override {
    CountRsp rsp;
    {
      const std::lock_guard lock(mutex_);
      rsp = counts_;
    }
    rsp.set_missing(metric_value(app_.metrics(), "m3_broadcasts_missing_total"));
    rsp.set_open_files(open_files());
    rsp.set_resident_bytes(resident_bytes());
    co_return rsp;
  }

 private:
  void begin(const WorkReq& req, bool once) {
    const std::int64_t over = monotonic_ns() - req.deadline_ns();
    const std::lock_guard lock(mutex_);
    counts_.set_started(counts_.started() + 1);
    if (over > 0) counts_.set_late(counts_.late() + 1);
    counts_.set_latest_ns(std::max(counts_.latest_ns(), over));
    // What is refused as not executed may come again.
    if (once && mode_ == BehaveReq::WELL && !ids_.insert(req.id()).second)
      counts_.set_repeated(counts_.repeated() + 1);
  }
  m3::Task<WorkRsp> answer(m3::Ctx& ctx, const WorkReq& req) {
    if (mode_ == BehaveReq::REFUSE)
      co_return m3::Status(m3::errc_from_number(code_), "told to refuse").not_executed();
    if (mode_ == BehaveReq::HANG) {
      m3::Ctx own(ctx.core());
      co_await m3::sleep(own, 1h);
    }
    if (mode_ == BehaveReq::FAIL) co_return m3::Status(m3::Errc::internal, "told to fail");
    for (const std::int64_t until = monotonic_ns() + req.burn_us() * 1000ll;
         req.burn_us() && monotonic_ns() < until;) {
    }
    if (req.work_ms()) co_await m3::sleep(ctx, std::chrono::milliseconds(req.work_ms()));
    WorkRsp rsp;
    rsp.set_by(by_);
    co_return rsp;
  }

  m3::App& app_;
  const std::string by_;
  std::atomic<std::uint32_t> code_{0};
  std::atomic<int> mode_{BehaveReq::WELL};
  std::mutex mutex_;
  CountRsp counts_;
  std::unordered_set<std::uint64_t> ids_;
};

}  // namespace
}  // namespace fault

int main(int argc, char** argv) {
  return m3::App("fault")
      .serve<fault::FaultSer>()
      .health([](m3::Ctx&) -> m3::Task<> {
        co_return fault::sick ? m3::Status(m3::Errc::unavailable, "told to be sick") : m3::Status();
      })
      .run(argc, argv);
}
