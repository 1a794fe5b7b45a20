// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "m3/async/clock.h"
#include "m3/base/result.h"
#include "m3/net/stream.h"

namespace m3::testing {

/// A hostile TCP proxy on 127.0.0.1, between a client and a server that run for real. It has a
/// thread of its own and uses plain sockets, nothing of m3's. Everything is called from any thread
/// and holds for the connections there are and those to come, from the next bytes on.
/// Ends its connections when it dies.
class ChaosProxy {
 public:
  enum class Way : std::uint8_t { to_server, to_client, both };

  /// Listens on a free port and dials `target` (an IPv4 address) for each connection.
  static Result<std::unique_ptr<ChaosProxy>> start(const HostPort& target);
  ChaosProxy(const ChaosProxy&) = delete;
  ChaosProxy& operator=(const ChaosProxy&) = delete;
  ~ChaosProxy();

  const HostPort& address() const noexcept { return address_; }

  /// Bytes read from now on arrive that much later.
  void delay(Nanos by, Way way = Way::both);
  /// At most `bytes` at once, a millisecond apart; 0 = as they come.
  void slice(std::size_t bytes, Way way = Way::both);
  /// The proxy neither reads nor writes that way: the sender's socket fills up.
  void stall(bool stalled, Way way = Way::both);
  /// The proxy reads and throws away, ends of connections included: a pulled cable, to the peers.
  /// What fell in is lost, so such a connection is only good for being cut.
  void black_hole(bool dropping, Way way = Way::both);
  /// The same, for the bytes of each connection from `offset` on: it falls silent in its middle.
  void black_hole_at(std::uint64_t offset, Way way);
  /// Flips the lowest bit of the byte at `offset` (from 0) of each connection that has not come so
  /// far.
  void corrupt_at(std::uint64_t offset, Way way);
  /// Resets each connection that lets that many bytes through: exactly so many arrive, if anything
  /// does.
  void cut_at(std::uint64_t offset, Way way);
  /// No more black_hole_at, corrupt_at and cut_at, no delay, slices, stalls and black holes.
  void behave();
  /// Resets every connection there is.
  void cut_all();
  /// New connections are reset at once.
  void refuse(bool refusing);

  std::size_t connections() const;
  std::uint64_t accepted() const;
  /// Bytes passed on, of all connections, ever.
  std::uint64_t passed(Way way) const;

 private:
  struct Impl;
  explicit ChaosProxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  HostPort address_;
};

}  // namespace m3::testing
