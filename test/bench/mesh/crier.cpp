// SPDX-License-Identifier: BSL-1.0
// An app that hears broadcasts, and says who it is: one of eight receivers, or one of two instances
// of which one goes.
#include "m3/app/app.h"
#include "mesh/crier.m3.h"
#include "support/hearing.h"

namespace bench {

class Crier final : public CrierService {
 public:
  explicit Crier(m3::App& app) : app_(app) {}
  m3::Task<> shout(m3::Ctx&, const Notice& notice) override {
    hearing_.heard(notice.text());  // one topic, so one core
    co_return m3::ok;
  }
  m3::Task<WhoRsp> who(m3::Ctx&, const WhoReq&) override {
    WhoRsp rsp;
    rsp.set_id(app_.app_id().to_string());
    co_return rsp;
  }

 private:
  m3::App& app_;
  Hearing hearing_;
};

}  // namespace bench

int main(int argc, char** argv) { return m3::App("crier").serve<bench::Crier>().run(argc, argv); }
