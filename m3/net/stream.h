// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "m3/async/core.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "m3/base/result.h"
#include "m3/net/out_queue.h"

namespace m3 {

/// Callbacks of a stream to its owner, always from the core's loop.
class StreamHandler {
 public:
  struct Taken {
    std::size_t bytes = 0;   ///< bytes used; the stream keeps the rest and passes it again with
                             ///< more
    std::size_t needed = 0;  ///< how many more bytes complete the next frame; 0 = not known
    /// The rest may contain whole frames: it is passed again, alone, before anything more is read,
    /// when the other streams of the core have had their turn (or when a pause ends).
    bool again = false;
    /// The peer is expected to send more, or to close: the stream checks at once whether it has.
    bool expects_more = false;
  };
  virtual Taken on_bytes(std::string_view bytes) = 0;
  /// The stream takes bytes again after a short send().
  virtual void on_writable() = 0;
  /// The peer closed or the connection broke; no callback follows. Not called after close().
  virtual void on_closed(Status why) = 0;

 protected:
  ~StreamHandler() = default;
};

/// An ordered two-way pipe of bytes. Core-local; owned by its connection, which may close it in a
/// callback, but destroys it only when no callback is running.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Starts reading; `handler` is used until close() or on_closed().
  virtual void start(StreamHandler& handler) = 0;
  /// Takes some or all of the bytes, without waiting. If fewer, on_writable() follows. Errors are
  /// reported later by on_closed(), after the last received bytes.
  virtual std::size_t send(std::string_view bytes) = 0;
  /// No on_bytes() and no end of the connection while paused, except the end that a send() runs
  /// into. Afterwards the bytes that were not taken are passed again, with or without more.
  virtual void pause_reading(bool paused) = 0;
  /// Sent data is still transmitted. No callback follows. Safe inside a callback.
  virtual void close() = 0;
  /// Inside on_bytes(): the time by which the bytes that are passed for the first time had arrived.
  virtual TimePoint came_by() const = 0;
  /// "127.0.0.1:20051", for people.
  virtual const std::string& peer_name() const = 0;
};

/// Buffers shared by the streams of one core. Outlives them.
struct StreamBuffers {
  StreamBuffers();
  static constexpr std::size_t kReadBytes = 256u << 10;
  OutBufferPool pool;
  std::unique_ptr<char[]> read;  ///< the read buffer; only incomplete tails are kept
};

/// Creates streams. One per core; outlives its streams.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Fails with unavailable when no process is listening there. Ends with `ctx`.
  virtual Task<std::unique_ptr<Stream>> connect(Ctx& ctx, HostPort address) = 0;
};

}  // namespace m3
