// SPDX-License-Identifier: BSL-1.0
#include "m3/admin/control.h"

#include <string>
#include <utility>

#include "m3/admin.m3.h"
#include "m3/async/runtime.h"

namespace m3 {
namespace {

using admin::SetStateReq;
using admin::SetStateRsp;

static_assert(admin::MEMBER_STATE_SERVING == static_cast<int>(MemberState::serving) + 1);
static_assert(admin::MEMBER_STATE_CORDONED == static_cast<int>(MemberState::cordoned) + 1);
static_assert(admin::MEMBER_STATE_DRAINING == static_cast<int>(MemberState::draining) + 1);

class Control final : public admin::ControlService {
 public:
  using Set = std::function<Task<MemberState>(Ctx&, MemberState)>;
  Control(Runtime& runtime, Set set) : runtime_(runtime), set_(std::move(set)) {}

  Task<> set_state(Ctx& ctx, const SetStateReq& req, SetStateRsp& rsp) override {
    if (!ctx.by_operator())
      co_return Status(Errc::permission_denied,
                       "changing the state of an app requires rpc.operator_token: give it to m3ctl "
                       "in M3_OPERATOR_TOKEN");
    const int wanted = req.state();
    if (wanted < admin::MEMBER_STATE_SERVING || wanted > admin::MEMBER_STATE_DRAINING)
      co_return Status(Errc::invalid_argument, "state " + std::to_string(wanted) +
                                                   " is not one of serving, cordoned, draining");
    const auto state = static_cast<MemberState>(wanted - 1);
    const MemberState before = co_await run_on(
        ctx, runtime_.core(0), [this, state](Ctx& there) { return set_(there, state); });
    rsp.set_before(static_cast<admin::MemberState>(static_cast<int>(before) + 1));
    co_return ok;
  }

 private:
  Runtime& runtime_;
  const Set set_;
};

}  // namespace

std::unique_ptr<Service> make_control(Runtime& runtime,
                                      std::function<Task<MemberState>(Ctx&, MemberState)> set) {
  return std::make_unique<Control>(runtime, std::move(set));
}

}  // namespace m3
