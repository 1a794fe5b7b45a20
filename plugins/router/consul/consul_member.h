// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "m3/plugin/router.h"
#include "plugins/client/consul/consul_json.h"

namespace m3 {

// How an m3 instance is stored in Consul. Pure.

/// The times of an instance's health check in Consul.
struct ConsulCheckTimes {
  Duration interval{0};
  Duration deregister_after{0};
};

/// "m3-env-world-func" in lower case, '_' as '-': good for DNS. Several ids may share a name, so
/// ConsulService::id decides.
std::string consul_name(const ServiceId& service);
/// The prefix of the names of an environment's services, and possibly of some others.
std::string consul_name_prefix(std::string_view env);

/// The check's id.
std::string consul_check_id(const AppId& id);

/// The id is env.world.func.ins. With an admin port Consul asks the app's /health/ready, or
/// /health/live while it drains; without one the app itself must send a heartbeat every `interval`.
ConsulRegistration consul_registration(const Member& member, const ConsulCheckTimes& times);

/// invalid_argument: it is not an m3 instance; the text has the reason. Maintenance is read as
/// cordoned.
Result<Member> consul_member(const ConsulService& service);

}  // namespace m3
