// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "m3/net/stream.h"

namespace m3 {

/// Streams inside one process, for tests on virtual time: bytes arrive on the other side after
/// `latency`, cut into pieces of `slice` bytes (0 = as they were sent), and at most `window` of
/// them are in flight in each direction. All on one thread (SimRuntime); the two sides may live on
/// different cores, and a latency is rounded up to the next tick of their wheels (1 ms). Outlives
/// its streams.
class LoopbackNet {
 public:
  struct Options {
    Nanos latency{0};
    std::size_t slice = 0;
    std::size_t window = 1u << 20;
  };
  using OnAccept = std::function<void(std::unique_ptr<Stream>)>;

  LoopbackNet() = default;
  explicit LoopbackNet(Options options) : options_(options) {}
  LoopbackNet(const LoopbackNet&) = delete;
  LoopbackNet& operator=(const LoopbackNet&) = delete;

  /// `on_accept` runs on `core` for each new connection. An address has one listener: the last.
  void listen(Core& core, const HostPort& address, OnAccept on_accept);
  void unlisten(const HostPort& address);
  /// unavailable when no process is listening there. Made at once, also while frozen.
  Result<std::unique_ptr<Stream>> connect(Core& from, const HostPort& address);
  /// For streams created from now on.
  void set_options(Options options) { options_ = options; }
  const Options& options() const noexcept { return options_; }
  /// Breaks every stream, both sides; bytes in flight are lost.
  void cut_all();
  /// While frozen, bytes (and closes, and LoopbackTransport's connects) stay where they are.
  void freeze(bool frozen);
  bool frozen() const noexcept { return frozen_; }

 private:
  friend class LoopbackTransport;
  friend class LoopbackStream;
  struct Side;
  struct Pipe;
  class ThawOp;
  struct Listener {
    Core* core;
    OnAccept on_accept;
  };
  std::vector<std::shared_ptr<Pipe>> live_pipes();

  Options options_;
  bool frozen_ = false;
  std::uint64_t connections_ = 0;
  std::map<std::string, Listener> listeners_;
  std::vector<std::weak_ptr<Pipe>> pipes_;
  std::vector<ThawOp*> waiting_for_thaw_;
};

/// The Transport of one core on a LoopbackNet. A connect takes a round trip.
class LoopbackTransport final : public Transport {
 public:
  LoopbackTransport(Core& core, LoopbackNet& net) : core_(core), net_(net) {}
  Task<std::unique_ptr<Stream>> connect(Ctx& ctx, HostPort address) override;

 private:
  Core& core_;
  LoopbackNet& net_;
};

}  // namespace m3
