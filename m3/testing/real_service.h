// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/host_port.h"
#include "m3/base/result.h"

namespace m3::testing {

/// A real redis-server, nats-server or consul on free ports of 127.0.0.1, with its data in its own
/// folder below $TMPDIR or /tmp. Every function blocks, so none may be called on a core's thread.
/// Not thread-safe. The program is killed when the thread that started it ends, so start it from
/// the main thread.
///
/// The destructor kills the program and removes the folder.
class RealService {
 public:
  enum class Kind : std::uint8_t { redis, nats, consul };
  struct Options {
    std::vector<std::string> args;  ///< more of the program's arguments, after ours
    /// Data survives restarts: redis appends each write to a file, nats has JetStream, consul is a
    /// server with a data folder (and keeps the agent's services, too). Otherwise everything is in
    /// memory.
    bool keeps_data = false;
  };

  /// Whether the program is installed: on PATH; consul also as $M3_CONSUL or ~/.cache/m3/consul.
  static bool installed(Kind kind);
  /// For M3_SKIP: "redis-server is not installed: apt-get install redis-server".
  static std::string how_to_install(Kind kind);

  /// Returns it started and answering. unavailable, with the end of its output, when it does not
  /// answer for 20 s.
  static Result<std::unique_ptr<RealService>> start(Kind kind, Options options);
  static Result<std::unique_ptr<RealService>> start(Kind kind) { return start(kind, {}); }
  /// It has its address, but does not run before start_again().
  static Result<std::unique_ptr<RealService>> prepare(Kind kind, Options options);
  static Result<std::unique_ptr<RealService>> prepare(Kind kind) { return prepare(kind, {}); }
  RealService(const RealService&) = delete;
  RealService& operator=(const RealService&) = delete;
  ~RealService();

  /// Where clients connect; consul: its HTTP port.
  const HostPort& address() const noexcept { return address_; }
  const std::string& folder() const noexcept { return folder_; }
  pid_t pid() const noexcept { return pid_; }  ///< -1: not running
  bool running() const { return pid_ > 0; }
  /// Its output so far.
  std::string output() const;

  /// SIGTERM, and waits for the end; after 10 s SIGKILL. A frozen one is thawed first.
  void stop();
  void kill9();
  void freeze();
  void thaw();
  /// After stop() or kill9() (a running one is stopped first): same ports, same data.
  Status start_again();

 private:
  RealService(Kind kind, Options options) : kind_(kind), options_(std::move(options)) {}
  Status choose_ports();
  Status launch();
  std::vector<std::string> command() const;
  bool answers() const;
  bool ended();
  void signal(int number) const;
  std::string last_output() const;

  Kind kind_;
  Options options_;
  HostPort address_;
  std::string folder_;
  std::vector<std::uint16_t> more_ports_;  // consul: server, gossip
  pid_t pid_ = -1;
};

}  // namespace m3::testing
