// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/call.h"
#include "m3/rpc/host.h"
#include "m3/rpc/method.h"
#include "m3/rpc/route.h"

/// For arguments that the Task of a call refers to until it has ended. A compiler that understands
/// it warns when `auto later = client.say(ctx, Request());` keeps a Task whose request is gone.
#if __has_cpp_attribute(clang::lifetimebound)
#define M3_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define M3_LIFETIMEBOUND
#endif

namespace m3 {

/// Client option: the world to call, instead of the app's own.
struct world {
  explicit world(std::string name) : value(std::move(name)) {}
  std::string value;
};
/// Client option: the func to call, instead of the one the .proto gives.
struct func {
  explicit func(std::string name) : value(std::move(name)) {}
  std::string value;
};

/// Base of generated clients. A value: knows its app and the service to call, holds no connection,
/// may be used on every core. The app must outlive it.
///
/// Calls are lazy Tasks that refer to their arguments: await them in the statement that made them,
/// or keep request and response alive until they have ended.
class ClientBase {
 public:
  /// m3::world and m3::func in any order. A part that cannot be in an id makes every call fail with
  /// invalid_argument.
  template <class... Options>
  ClientBase(Host& host, std::string_view default_func, Options... options) : host_(&host) {
    Target target;
    target.func = std::string(default_func);
    (set(target, std::move(options)), ...);
    resolve(target);
  }

  const ServiceId& target() const noexcept { return service_; }

 protected:
  template <class Rsp>
  Task<Rsp> call(Ctx& ctx, const MethodInfo& method, const google::protobuf::MessageLite& request,
                 Route route) {
    Rsp response;
    co_await Call(caller(), ctx, service_, method, request, &response, std::move(route));
    co_return response;
  }
  Task<> call_into(Ctx& ctx, const MethodInfo& method, const google::protobuf::MessageLite& request,
                   google::protobuf::MessageLite& response, Route route) {
    co_await Call(caller(), ctx, service_, method, request, &response, std::move(route));
    co_return ok;
  }
  Task<> notify(Ctx& ctx, const MethodInfo& method, const google::protobuf::MessageLite& request,
                NotifyRoute route);

 private:
  struct Target {
    std::string world, func;
  };
  static void set(Target& target, world&& option) { target.world = std::move(option.value); }
  static void set(Target& target, func&& option) { target.func = std::move(option.value); }
  void resolve(const Target& target);
  Caller& caller() const { return host_->caller(); }

  Host* host_;
  ServiceId service_;
};

/// Generated facts about a request type that belongs to exactly one rpc; of another type nothing.
template <class Req>
struct RpcTraits {
  using Response = void;
  static constexpr bool kNoRpc = true;
};

namespace rpc_detail {
/// Only a notify may be sent to many.
template <class Req>
using RouteOf =
    std::conditional_t<std::is_void_v<typename RpcTraits<Req>::Response>, NotifyRoute, Route>;

class AnyClient : public ClientBase {
 public:
  using ClientBase::call;
  using ClientBase::ClientBase;
  using ClientBase::notify;
};
}  // namespace rpc_detail

/// The generic call: the request's type selects the method. The context must belong to an app (a
/// handler's does). Lazy; `request` must outlive it.
template <class Req>
Task<typename RpcTraits<Req>::Response> call(Ctx& ctx, const Req& request M3_LIFETIMEBOUND,
                                             rpc_detail::RouteOf<Req> route = {}) {
  using Traits = RpcTraits<Req>;
  using Rsp = typename Traits::Response;
  constexpr bool kNoRpc = requires { Traits::kNoRpc; };
  static_assert(
      !kNoRpc,
      "m3::call needs a request type that belongs to exactly one rpc: include the .m3.h of its "
      ".proto, or, when two rpcs share the type, use the generated client");
  auto* host = ctx.host();
  if (!host)
    co_return Status(Errc::failed_precondition,
                     "m3::call in a context that belongs to no app: use a client")
        .not_executed();
  if constexpr (kNoRpc) {
    co_return ok;
  } else {
    rpc_detail::AnyClient client(*host, Traits::default_func);
    if constexpr (std::is_void_v<Rsp>) {
      co_await client.notify(ctx, Traits::info(), request, std::move(route));
      co_return ok;
    } else {
      co_return co_await client.template call<Rsp>(ctx, Traits::info(), request, std::move(route));
    }
  }
}

}  // namespace m3
