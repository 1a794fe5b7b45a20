// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "m3/net/stream.h"

namespace m3 {

/// Streams inside one process, for tests on virtual time: bytes arrive on the other side after
/// `latency`, cut into pieces of `slice` bytes (0 = whole), and at most `window` of them are under
/// way. All on one thread (SimRuntime); both sides may live on different cores.
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

  void listen(Core& core, const HostPort& address, OnAccept on_accept);
  void unlisten(const HostPort& address);
  /// unavailable when nobody listens there.
  Result<std::unique_ptr<Stream>> connect(Core& from, const HostPort& address);
  /// Streams made from now on.
  void set_options(Options options) { options_ = options; }
  /// Breaks every stream there is, both sides.
  void cut_all();
  /// While frozen, bytes stay where they are.
  void freeze(bool frozen);

 private:
  friend class LoopbackStream;
  struct Pipe;
  struct Listener {
    Core* core;
    OnAccept on_accept;
  };
  Options options_;
  bool frozen_ = false;
  std::map<std::string, Listener> listeners_;
  std::vector<std::weak_ptr<Pipe>> pipes_;
};

/// The Transport of one core on a LoopbackNet.
class LoopbackTransport final : public Transport {
 public:
  LoopbackTransport(Core& core, LoopbackNet& net) : core_(core), net_(net) {}
  Task<std::unique_ptr<Stream>> connect(Ctx& ctx, HostPort address) override;

 private:
  Core& core_;
  LoopbackNet& net_;
};

}  // namespace m3
