// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "m3/net/connector.h"

namespace m3 {

struct AgentRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, encoded already
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::size_t expected_bytes = 0;  ///< of the answer's body, about
};

struct AgentAnswer {
  unsigned status = 0;
  std::string body;
  std::uint64_t consul_index = 0;  ///< X-Consul-Index; 0: none, or no number
};

/// One connection of HTTP/1.1, kept alive between requests, one request at a time. Core-local;
/// owned by ConsulClient. An error leaves it closed.
class AgentConnection {
 public:
  static Task<std::unique_ptr<AgentConnection>> connect(Ctx& ctx, Connector& connector,
                                                        HostPort address);
  AgentConnection(const AgentConnection&) = delete;
  AgentConnection& operator=(const AgentConnection&) = delete;
  ~AgentConnection();  ///< no exchange may run then

  /// unavailable: lost; maybe_executed unless nothing was sent. resource_exhausted: the body is
  /// over `most_bytes`. data_loss: not HTTP. Both must outlive the task.
  Task<AgentAnswer> exchange(Ctx& ctx, const AgentRequest& request, std::size_t most_bytes);
  /// Open, and the other side has sent nothing unrequested and has not closed.
  bool usable() const;
  /// A running exchange fails with `why`.
  void close(const Status& why);

 private:
  struct Impl;
  explicit AgentConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
