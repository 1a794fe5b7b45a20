// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/duration.h"
#include "m3/base/result.h"
#include "m3/base/status.h"

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

/// The entries of a list one after the other, as they stand there, found without decoding them.
class ConsulEntries {
 public:
  /// `json`: /v1/health/service/NAME's, and outlives this.
  explicit ConsulEntries(std::string_view json);
  /// Where the next entry begins. False: there is none.
  bool next();
  /// Does the next entry read so?
  bool is_next(std::string_view entry) const noexcept;
  /// Takes it: with its size, if that is known, else the end is looked for.
  std::string_view take(std::size_t size);
  std::string_view take();
  /// data_loss: it is not a list; known when next() is false.
  const Status& status() const noexcept { return status_; }

 private:
  void skip_blanks() noexcept;
  bool fail();

  std::string_view rest_;
  bool first_ = true;
  Status status_;
};
/// One entry. `wrong` says why it is left out; empty: it is not. data_loss: it is not JSON.
struct ConsulEntry {
  ConsulService service;
  std::string wrong;
};
Result<ConsulEntry> parse_consul_entry(std::string_view json);

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
