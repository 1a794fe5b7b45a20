// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "m3/net/connector.h"
#include "m3/net/stream.h"

namespace m3 {

/// TCP over the core's event loop, with its own Connector. `buffers` outlives the streams.
class TcpTransport final : public Transport {
 public:
  TcpTransport(Core& core, StreamBuffers& buffers);
  ~TcpTransport() override;
  Task<std::unique_ptr<Stream>> connect(Ctx& ctx, HostPort address) override;
  /// Makes a stream from an accepted socket and takes ownership of it. resource_exhausted: the
  /// system cannot watch more sockets (fs.epoll.max_user_watches); it is closed.
  Result<std::unique_ptr<Stream>> adopt(int fd, std::string peer_name);

 private:
  Core& core_;
  StreamBuffers& buffers_;
  std::unique_ptr<Connector> connector_;  // made for the first connect()
};

/// Whether a socket can listen there: an IP address or "localhost", not a name that would have to
/// be looked up. Whether it is an address of this machine is known only when it listens.
Status check_listen_address(const HostPort& address);

/// A listening socket on one core. `on_accept` gets each new socket (non-blocking, TCP_NODELAY) and
/// owns it; it may hand it to another core. When the process is out of descriptors, accepting
/// pauses, with a log line.
class TcpListener {
 public:
  using OnAccept = std::function<void(int fd, std::string peer_name)>;

  /// Port 0: any free one. already_exists when the address is in use.
  static Result<std::unique_ptr<TcpListener>> listen(Core& core, const HostPort& address,
                                                     OnAccept on_accept);
  ~TcpListener();

  std::uint16_t port() const noexcept { return port_; }
  /// Refuses new connections from now on.
  void close();

 private:
  struct Impl;
  explicit TcpListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  std::uint16_t port_ = 0;
};

}  // namespace m3
