// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "m3/base/result.h"

namespace m3 {

/// A connected TCP socket: non-blocking, TCP_NODELAY, closed on exec. Closed by its destructor
/// unless released.
class ConnectedSocket {
 public:
  ConnectedSocket() = default;
  ConnectedSocket(int fd, std::string peer) : fd_(fd), peer_(std::move(peer)) {}
  ConnectedSocket(ConnectedSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), peer_(std::move(other.peer_)) {}
  ConnectedSocket& operator=(ConnectedSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(peer_, other.peer_);
    return *this;
  }
  ~ConnectedSocket();

  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  /// "127.0.0.1:20051": the address that answered.
  const std::string& peer() const noexcept { return peer_; }

 private:
  int fd_ = -1;
  std::string peer_;
};

/// Connects to a host by TCP, by name or IP address.
///
/// Names are looked up on a separate thread: a dead name server blocks neither the core, nor
/// connects to other names, nor the end of the process; a cancelled caller continues at once.
/// Concurrent connects to one name share one look-up. IP addresses need none.
///
/// When there are several addresses they are tried one after the other, `stagger` apart or as soon
/// as one has failed, the two families alternating; the first that answers wins and the others are
/// dropped (RFC 8305). All of it ends with the caller's context: there is one limit for everything.
///
/// Core-local. Destroyed when no connect() is waiting; running look-ups are left behind.
class Connector {
 public:
  /// The addresses of a host as text, the best first, not empty. Blocks; runs on other threads, and
  /// may still run when the Connector is gone.
  using Resolve = std::function<Result<std::vector<std::string>>(const std::string& host)>;
  struct Options {
    Nanos stagger = std::chrono::milliseconds(250);
    Resolve resolve;  ///< empty: the system's
  };

  explicit Connector(Core& core, Options options);
  explicit Connector(Core& core) : Connector(core, Options()) {}
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;
  ~Connector();

  /// unavailable + not_executed: no process is listening there, no address is known, or the name
  /// cannot be looked up. deadline_exceeded, cancelled: as `ctx`.
  Task<ConnectedSocket> connect(Ctx& ctx, HostPort address);

  /// The number of running look-ups.
  std::size_t look_ups() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
