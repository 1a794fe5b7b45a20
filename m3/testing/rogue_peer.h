// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "m3/async/core.h"
#include "m3/net/stream.h"
#include "m3/wire/hello.h"

namespace m3::testing {

/// An instance that accepts connections and completes the handshake, and then misbehaves as
/// configured. It answers pings. Core-local: its streams belong to the core it was created for.
class RoguePeer {
 public:
  enum class Manner {
    answers,        ///< each request at once, with an empty message
    closes,         ///< the connection, at each request or notify
    says_goaway,    ///< at each request or notify, and closes
    drains,         ///< reports that it is leaving at each request or notify, and closes
    never_answers,  ///< only pings
    hangs_up,       ///< closes the connection right behind the handshake
    never_greets,   ///< accepts, and sends nothing
    rejects,        ///< refuses the handshake with unauthenticated
  };

  /// `hello.methods`: the methods it claims to serve.
  RoguePeer(Core& core, HelloConfig hello);
  RoguePeer(const RoguePeer&) = delete;
  RoguePeer& operator=(const RoguePeer&) = delete;
  ~RoguePeer();

  void accept(std::unique_ptr<Stream> stream);
  /// Closes what it has accepted; before the core ends.
  void close();

  Manner manner = Manner::answers;
  std::function<void()> on_request;  ///< optional; before the misbehaviour
  int requests = 0;                  ///< and notifies
  std::vector<TimePoint> connected;  ///< when each connection arrived

 private:
  class Connection;
  Core& core_;
  const HelloConfig hello_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace m3::testing
