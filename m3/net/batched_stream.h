// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "m3/net/stream.h"

namespace m3 {

/// A Stream for protocols of text: what is appended in one turn leaves together when the turn ends,
/// and what the peer does not take yet waits here, counted. Core-local; owned by its connection,
/// who may close() it in a callback, but destroys it only when none is running.
class BatchedStream {
 public:
  /// Reading begins; `handler` gets on_bytes() and on_closed(), and no call after close().
  BatchedStream(Core& core, std::unique_ptr<Stream> stream, StreamHandler& handler);
  BatchedStream(const BatchedStream&) = delete;
  BatchedStream& operator=(const BatchedStream&) = delete;
  ~BatchedStream();

  void append(std::initializer_list<std::string_view> parts);
  /// What was appended since the last mark() is one message, worth `weight`.
  void mark(std::uint32_t weight);
  /// The weight of the messages that the system has not taken to their end; after close() and
  /// on_closed(), of those that it never will.
  std::uint64_t unsent() const;
  /// Bytes that were appended and not taken by the system yet.
  std::size_t waiting() const;
  /// Bytes that came, ever.
  std::uint64_t received() const;
  bool is_open() const;
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3
