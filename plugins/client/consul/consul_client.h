// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "plugins/client/consul/agent_connection.h"

namespace m3 {

struct ConsulOptions {
  std::vector<HostPort> agents;  ///< at least one; the first that works is used until it fails
  std::string token;             ///< sent only in X-Consul-Token; empty: none
  Nanos connect_timeout = std::chrono::seconds(1);
  Nanos request_timeout = std::chrono::seconds(5);
  std::size_t max_response = 16u << 20;
  std::size_t max_idle = 64;  ///< connections kept for each agent
};

struct ConsulRequest {
  ConsulRequest(std::string verb, std::string where, std::string content = {})
      : method(std::move(verb)), target(std::move(where)), body(std::move(content)) {}

  std::string method;
  std::string target;  ///< "/v1/…" with its query, encoded
  std::string body;
  /// A blocking query: Consul answers when its index is above this one, or after `wait`. 0: at
  /// once.
  std::uint64_t index = 0;
  Nanos wait{0};
  /// The expected size of the answer, which is allocated at once.
  std::size_t expected_bytes = 0;
  /// Retried when a connection broke before the answer; false: it might take effect twice.
  bool repeatable = true;
};

struct ConsulResponse {
  unsigned status = 0;  ///< 2xx or 404
  std::string body;
  std::uint64_t index = 0;  ///< of a blocking query's next turn
  std::size_t agent = 0;    ///< which one answered

  bool found() const { return status != 404; }
};

/// Consul's HTTP API: keep-alive connections, pooled for each agent. Uses one agent as long as it
/// answers, and the next one when it refuses, is silent or returns only 5xx. Nothing runs in the
/// background: the caller decides when to retry. Core-local; owned by a plugin; no request may be
/// in progress when it is destroyed.
///
/// Errors: unavailable (no agent answers, or each returns 5xx: the text has all their reasons),
/// unauthenticated (the token is unknown), permission_denied (the token lacks the permission),
/// invalid_argument (Consul did not understand), resource_exhausted (an answer over max_response,
/// or 429), data_loss (not Consul).
class ConsulClient {
 public:
  /// `name`: its owner's name in the log.
  ConsulClient(Core& core, std::string name, ConsulOptions options);
  ConsulClient(const ConsulClient&) = delete;
  ConsulClient& operator=(const ConsulClient&) = delete;
  ~ConsulClient();

  Task<ConsulResponse> send(Ctx& ctx, ConsulRequest request);
  /// To that agent only: for an agent's own services and checks.
  Task<ConsulResponse> send_to(Ctx& ctx, std::size_t agent, ConsulRequest request);

  std::size_t agents() const { return agents_.size(); }
  const HostPort& address(std::size_t agent) const { return options_.agents[agent]; }
  /// Open connections, to all agents.
  std::size_t connections() const;

 private:
  using Made = std::unique_ptr<AgentConnection>;
  struct Agent {
    struct Idle {
      Made connection;
      TimePoint since;
    };
    std::deque<Idle> idle;               // the most recently used one is at the back
    std::vector<AgentConnection*> busy;  // an exchange runs
  };
  class Busy;

  Task<ConsulResponse> attempt(Ctx& ctx, std::size_t agent, const ConsulRequest& request);
  Task<AgentAnswer> exchange(Ctx& ctx, std::size_t agent, const AgentRequest& request,
                             bool repeatable);
  Task<Made> connect(Ctx& ctx, std::size_t agent);
  Made take_idle(Agent& agent);
  void keep(Agent& agent, Made connection);
  void give_up(std::size_t agent, const Status& why);
  AgentRequest http_of(const ConsulRequest& request) const;
  Status error_of(std::size_t agent, const AgentAnswer& response) const;

  Core& core_;
  const std::string name_;
  const ConsulOptions options_;
  Connector connector_;
  std::vector<Agent> agents_;
  std::size_t current_ = 0;
};

/// The index for the next turn of a blocking query: one that went backwards starts over.
constexpr std::uint64_t next_consul_index(std::uint64_t before, std::uint64_t now) noexcept {
  return now < before ? 0 : now;
}

/// For a path or a query: everything except letters, digits, '-', '_', '.' and '~' becomes %XX.
std::string consul_escape(std::string_view text);

}  // namespace m3
