// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/net/tcp.h"
#include "m3/testing/rogue_peer.h"

namespace fault {

/// A RoguePeer that listens on a port of this machine, on a core of its own. Used from the test's
/// thread.
class RogueServer {
 public:
  using Manner = m3::testing::RoguePeer::Manner;

  /// `methods`: the full names that its hello lists.
  RogueServer(const std::string& id, const std::vector<std::string>& methods, Manner manner);
  RogueServer(const RogueServer&) = delete;
  RogueServer& operator=(const RogueServer&) = delete;
  ~RogueServer();

  m3::HostPort address() const { return {"127.0.0.1", listener_->port()}; }
  void set_manner(Manner manner);
  /// Called on the rogue's core at each request, before its manner shows.
  void on_request(std::function<void()> what);
  int requests();
  /// When each connection came.
  std::vector<m3::TimePoint> connected();

 private:
  void on_core(const std::function<void()>& what);

  m3::Runtime runtime_;
  m3::StreamBuffers buffers_;
  m3::TcpTransport transport_;
  m3::testing::RoguePeer peer_;
  std::unique_ptr<m3::TcpListener> listener_;
};

}  // namespace fault
