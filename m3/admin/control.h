// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/member.h"
#include "m3/rpc/service.h"

namespace m3 {

class Runtime;

/// The service m3.admin.Control (proto/m3/control.proto). `set` runs on core 0, returns the
/// previous state, and outlives the service.
std::unique_ptr<Service> make_control(Runtime& runtime,
                                      std::function<Task<MemberState>(Ctx&, MemberState)> set);

}  // namespace m3
