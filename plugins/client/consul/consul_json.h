// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/duration.h"
#include "m3/base/result.h"

namespace m3 {

// What Consul's agents say, and are told, as JSON. Pure: bytes to values and back.

/// One instance of a service, as Consul has it.
struct ConsulService {
  /// The worst of its checks and of its machine's, those of maintenance mode left out.
  enum class Health : std::uint8_t { passing, warning, critical };

  std::string id;
  std::string name;
  std::string node;  ///< the machine's name
  std::string host;  ///< its own address, or the machine's
  std::uint16_t port = 0;
  std::map<std::string, std::string> meta;
  Health health = Health::passing;
  bool maintenance = false;  ///< the operator's wish, for it or for its machine
};

/// A list, and what was wrong with the entries that were left out.
struct ConsulServices {
  std::vector<ConsulService> services;
  std::vector<std::string> skipped;
};

/// Of /v1/health/service/NAME. data_loss: no JSON, or no list; a bad entry is only left out.
Result<ConsulServices> parse_consul_health(std::string_view json);
/// Of /v1/agent/service/ID.
Result<ConsulService> parse_consul_service(std::string_view json);
/// The names in /v1/catalog/services.
Result<std::vector<std::string>> parse_consul_names(std::string_view json);

struct ConsulCheck {
  std::string id;
  std::string name;
  std::string http;  ///< asked every `interval`; empty: a check that its owner must pass in time
  Duration interval{0};
  Duration timeout{0};
  Duration ttl{0};
  unsigned failures_before_critical = 0;
  Duration deregister_after{0};
};

struct ConsulRegistration {
  std::string id;
  std::string name;
  std::string host;
  std::uint16_t port = 0;
  std::map<std::string, std::string> meta;
  ConsulCheck check;  ///< begins as passing
};

/// For /v1/agent/service/register.
std::string consul_registration_json(const ConsulRegistration& registration);

}  // namespace m3
