// SPDX-License-Identifier: BSL-1.0
#include "m3/app/control.h"

#include <string>
#include <utility>

#include "m3/async/runtime.h"
#include "m3/control.pb.h"

namespace m3 {
namespace {

using wire::SetStateReq;
using wire::SetStateRsp;

static_assert(wire::MEMBER_STATE_SERVING == static_cast<int>(MemberState::serving) + 1);
static_assert(wire::MEMBER_STATE_CORDONED == static_cast<int>(MemberState::cordoned) + 1);
static_assert(wire::MEMBER_STATE_DRAINING == static_cast<int>(MemberState::draining) + 1);

const google::protobuf::Message& request_default() { return SetStateReq::default_instance(); }
const google::protobuf::Message& response_default() { return SetStateRsp::default_instance(); }

constinit const MethodInfo kSetState{
    .full_name = "/m3.wire.Control/SetState",
    .hash = method_hash("/m3.wire.Control/SetState"),
    .idempotent = true,
    .request = &request_default,
    .response = &response_default,
};

/// Bound by hand: this room is built before the code generator.
class Control final : public Service {
 public:
  using Set = std::function<Task<MemberState>(Ctx&, MemberState)>;
  Control(Runtime& runtime, Set set) : runtime_(runtime), set_(std::move(set)) {}

  std::string_view service_name() const override { return "m3.wire.Control"; }
  std::span<const MethodBinding> bindings() const override {
    static constexpr MethodBinding table[] = {
        bind<Control, SetStateReq, SetStateRsp, &Control::set_state, &Control::set_state>(
            kSetState)};
    return table;
  }

  Task<> set_state(Ctx& ctx, const SetStateReq& req, SetStateRsp& rsp) {
    const int wanted = req.state();
    if (wanted < wire::MEMBER_STATE_SERVING || wanted > wire::MEMBER_STATE_DRAINING)
      co_return Status(Errc::invalid_argument,
                       "state " + std::to_string(wanted) + " is none: serving, cordoned, draining");
    const auto state = static_cast<MemberState>(wanted - 1);
    const MemberState before = co_await run_on(
        ctx, runtime_.core(0), [this, state](Ctx& there) { return set_(there, state); });
    rsp.set_before(static_cast<wire::MemberState>(static_cast<int>(before) + 1));
    co_return ok;
  }
  Task<SetStateRsp> set_state(Ctx& ctx, const SetStateReq& req) {
    SetStateRsp rsp;
    co_await set_state(ctx, req, rsp);
    co_return rsp;
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
