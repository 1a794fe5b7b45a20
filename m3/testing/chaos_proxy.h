// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "m3/async/clock.h"
#include "m3/base/result.h"
#include "m3/net/stream.h"

namespace m3::testing {

/// A hostile TCP proxy on 127.0.0.1, between a client and a server that run for real. It has its
/// own thread and uses plain sockets, nothing of m3's. Every function may be called from any thread
/// and applies to existing and future connections, from the next bytes on. Closes its connections
/// when it is destroyed.
class ChaosProxy {
 public:
  enum class Way : std::uint8_t { to_server, to_client, both };

  /// Listens on a free port and dials `target` (an IPv4 address) for each connection.
  static Result<std::unique_ptr<ChaosProxy>> start(const HostPort& target);
  ChaosProxy(const ChaosProxy&) = delete;
  ChaosProxy& operator=(const ChaosProxy&) = delete;
  ~ChaosProxy();

  const HostPort& address() const noexcept { return address_; }

  /// Delays the bytes read from now on.
  void delay(Nanos by, Way way = Way::both);
  /// At most `bytes` at once, a millisecond apart; 0 = as they arrive.
  void slice(std::size_t bytes, Way way = Way::both);
  /// The proxy neither reads nor writes in that direction: the sender's socket fills up.
  void stall(bool stalled, Way way = Way::both);
  /// The proxy reads and discards everything, including the ends of connections: a pulled cable, to
  /// the peers. Discarded bytes are lost, so such a connection can only be cut.
  void black_hole(bool dropping, Way way = Way::both);
  /// The same, for the bytes of each connection from `offset` on: it becomes silent in the middle.
  void black_hole_at(std::uint64_t offset, Way way);
  /// Flips the lowest bit of the byte at `offset` (from 0) of each connection that has not reached
  /// it yet.
  void corrupt_at(std::uint64_t offset, Way way);
  /// Resets each connection after that many bytes: exactly that many arrive, if any do.
  void cut_at(std::uint64_t offset, Way way);
  /// No more black_hole_at, corrupt_at and cut_at, no delay, slices, stalls and black holes.
  void behave();
  /// Resets every existing connection.
  void cut_all();
  /// New connections are reset at once.
  void refuse(bool refusing);

  std::size_t connections() const;
  std::uint64_t accepted() const;
  /// Bytes passed on so far, over all connections.
  std::uint64_t passed(Way way) const;

 private:
  struct Impl;
  explicit ChaosProxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  HostPort address_;
};

}  // namespace m3::testing
