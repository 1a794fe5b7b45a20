// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/client.h"

#include "m3/rpc/caller.h"

namespace m3 {

void ClientBase::resolve(const Target& target) {
  const AppId& self = host_->app_id();
  const std::string world(target.world.empty() ? std::string(self.world()) : target.world);
  auto service = ServiceId::parse(std::string(self.env()) + "." + world + "." + target.func);
  if (service.is_ok()) service_ = *std::move(service);
}

Task<> ClientBase::notify(Ctx& ctx, const MethodInfo& method,
                          const google::protobuf::MessageLite& request, NotifyRoute route) {
  return caller().notify(ctx, service_, method, request, std::move(route));
}

}  // namespace m3
