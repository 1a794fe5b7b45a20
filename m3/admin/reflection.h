// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/rpc/service.h"

namespace m3 {

/// The service m3.admin.Reflection for an app that serves `services`: it answers with their methods
/// and the descriptors of their messages, so that tools such as m3ctl can call them without a
/// .proto. `services` are read now and not kept; `version` is set by the app.
std::unique_ptr<Service> make_reflection(const std::vector<Service*>& services, const AppId& id,
                                         std::string version);

}  // namespace m3
