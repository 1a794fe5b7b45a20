// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "m3/net/stream.h"

namespace m3 {

/// A Stream for text protocols: data appended in one turn is sent together when the turn ends, and
/// data that the peer does not accept yet is buffered here and counted. Core-local; owned by its
/// connection, which may close() it in a callback, but destroys it only when none is running.
class BatchedStream {
 public:
  /// Starts reading; `handler` gets on_bytes() and on_closed(), and no call after close().
  BatchedStream(Core& core, std::unique_ptr<Stream> stream, StreamHandler& handler);
  BatchedStream(const BatchedStream&) = delete;
  BatchedStream& operator=(const BatchedStream&) = delete;
  ~BatchedStream();

  void append(std::initializer_list<std::string_view> parts);
  /// The data appended since the last mark() is one message with that `weight`.
  void mark(std::uint32_t weight);
  /// The weight of the messages that are not completely sent; after close() and on_closed(), of
  /// those that never will be.
  std::uint64_t unsent() const;
  /// Bytes that were appended and not yet sent.
  std::size_t waiting() const;
  /// Bytes received so far.
  std::uint64_t received() const;
  bool is_open() const;
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3
