// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/base/app_id.h"
#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/base/host_port.h"
#include "m3/config/schema.h"
#include "m3/obs/log.h"
#include "m3/rpc/rpc_config.h"

namespace m3 {

/// The keys at the top of every app's configuration file.
struct AppConfig {
  /// `[rpc]`: how this app calls and is called.
  struct Rpc {
    std::string token;
    std::string second_token;
    std::string operator_token;
    Duration default_timeout = std::chrono::seconds(5);
    Duration connect_timeout = std::chrono::seconds(2);
    Duration idle_close = std::chrono::minutes(10);
    ByteSize max_frame{4u << 20};
    ByteSize max_metadata{16u << 10};
    unsigned max_calls = 16384;
    ByteSize connection_memory{32u << 20};
    ByteSize core_memory{512u << 20};
    Duration overload_wait = std::chrono::milliseconds(2);
    unsigned max_connections = 10000;
    unsigned max_attempts = 3;
    unsigned max_sick_percent = 50;
    Duration wait_for_route{0};
    static void describe(Schema<Rpc>& s);
  };

  /// `[serial]`: what may wait for the turn of a serial service, each of them.
  struct Serial {
    unsigned max_waiting = 10000;
    Duration max_wait = std::chrono::seconds(5);
    static void describe(Schema<Serial>& s);
  };

  /// `[admin]`: the port for health checks, metrics and people.
  struct Admin {
    std::string listen;
    std::string token;
    Duration health_timeout = std::chrono::seconds(1);
    Duration health_interval = std::chrono::seconds(2);
    static void describe(Schema<Admin>& s);
  };

  std::optional<AppId> id;
  std::string listen;
  std::string advertise;
  unsigned weight = 100;
  std::string lane;
  unsigned cores = 0;
  bool pin = false;
  Duration spin{0};
  Duration stall_warning = std::chrono::seconds(1);
  unsigned blocking_threads = 2;
  LogLevel log_level = LogLevel::info;
  bool fatal_exits = true;
  Duration start_timeout = std::chrono::seconds(30);
  Duration stop_timeout = std::chrono::seconds(30);
  Duration broadcast_timeout = std::chrono::seconds(5);
  Duration drain_wait = std::chrono::seconds(2);
  Rpc rpc;
  Serial serial;
  Admin admin;

  static void describe(Schema<AppConfig>& s);

  /// An error: other machines can reach `listen`, but no token is required.
  Status check_access() const;
  /// The address where others find it when it listens on `port`. invalid_argument: it is not known.
  Result<HostPort> advertised(std::uint16_t port) const;
  /// Whether the admin port can be reached from where `address` can: one on 127.0.0.1 cannot from
  /// other machines.
  bool admin_is_beside(const HostPort& address) const;
  RuntimeConfig runtime_config() const;
  RpcConfig rpc_config() const;
  /// A copy of this one with the keys of `fresh` that may change while an app runs.
  AppConfig reloaded(const AppConfig& fresh) const;
};

}  // namespace m3
