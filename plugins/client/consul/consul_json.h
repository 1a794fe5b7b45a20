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

// The JSON of Consul's agents, in both directions. Pure: bytes to values and back.

/// One instance of a service in Consul.
struct ConsulService {
  /// The worst of its checks and of its machine's, except those of maintenance mode.
  enum class Health : std::uint8_t { passing, warning, critical };

  std::string id;
  std::string name;
  std::string node;  ///< the machine's name
  std::string host;  ///< its own address, or the machine's
  std::uint16_t port = 0;
  std::map<std::string, std::string> meta;
  Health health = Health::passing;
  bool maintenance = false;  ///< set by an operator, for it or for its machine
};

/// A list, and the errors of the entries that were left out.
struct ConsulServices {
  std::vector<ConsulService> services;
  std::vector<std::string> skipped;
};

/// The entries of a list one after the other, as text, found without decoding them.
class ConsulEntries {
 public:
  /// `json`: an answer of /v1/health/service/NAME; it must outlive this.
  explicit ConsulEntries(std::string_view json);
  /// Moves to the next entry. False: there is none.
  bool next();
  /// Whether the next entry has this text.
  bool is_next(std::string_view entry) const noexcept;
  /// Takes it: with its size, if known, else its end is searched.
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
/// One entry. `wrong` is the reason why it is left out; empty: it is not. data_loss: it is not
/// JSON.
struct ConsulEntry {
  ConsulService service;
  std::string wrong;
};
Result<ConsulEntry> parse_consul_entry(std::string_view json);

/// Of /v1/health/service/NAME. data_loss: not JSON, or not a list; a bad entry is only left out.
Result<ConsulServices> parse_consul_health(std::string_view json);
/// Of /v1/agent/service/ID.
Result<ConsulService> parse_consul_service(std::string_view json);
/// The names in /v1/catalog/services.
Result<std::vector<std::string>> parse_consul_names(std::string_view json);

struct ConsulCheck {
  std::string id;
  std::string name;
  std::string http;  ///< requested every `interval`; empty: a check that its owner must pass in
                     ///< time
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
