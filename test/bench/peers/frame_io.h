// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "buffer.h"
#include "frame.h"

namespace bench {

/// One non-blocking connection. Its buffers hold only what is unfinished, so an idle one has none.
struct Stream {
  explicit Stream(int descriptor) : fd(descriptor) {}
  Stream(Stream&&) = delete;
  ~Stream() { close(fd); }
  int fd;
  Buffer tail;    ///< the beginning of a frame whose rest has not arrived
  Buffer unsent;  ///< what the socket did not take; sent on at the next EPOLLOUT edge
};

/// The reading and writing both epoll peers share: the fewest system calls and copies known.
/// One buffer to read into and one to write from for all connections of the loop.
class FrameIo {
 public:
  FrameIo() { in_.prepare(2 * kReadBytes); }

  /// Append the frames for the stream that is being served here.
  template <class Message>
  void put(FrameHeader header, const Message& message) {
    const std::size_t size = message.ByteSizeLong();
    header.length = static_cast<std::uint32_t>(kLengthAfterField + size);
    char* place = out_.prepare(kHeaderBytes + size);
    std::memcpy(place, &header, kHeaderBytes);
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(place) + kHeaderBytes);
    out_.commit(kHeaderBytes + size);
  }

  /// Reads all there is (edge-triggered), hands each frame to on_frame(header, body, size), which
  /// returns false for a frame it does not like. False: close the stream.
  /// `to_the_end` when the peer is known to have hung up: then a short read is not the last one.
  template <class OnFrame>
  bool read(Stream& stream, bool to_the_end, OnFrame&& on_frame) {
    std::size_t have = stream.tail.size();
    char* const bytes = in_.data();
    if (have != 0) {
      std::memcpy(bytes, stream.tail.data(), have);
      stream.tail.release();
    }
    for (;;) {
      const ssize_t got = recv(stream.fd, bytes + have, kReadBytes, 0);
      if (got == 0) return false;
      if (got < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return false;
        break;
      }
      have += static_cast<std::size_t>(got);
      const std::size_t used = frames(bytes, have, on_frame);
      if (used == kBadFrame) return false;
      have -= used;
      if (have != 0) std::memmove(bytes, bytes + used, have);
      if (static_cast<std::size_t>(got) < kReadBytes && !to_the_end) break;
      if (out_.size() > kReadBytes && !flush(stream)) return false;
    }
    if (have != 0) stream.tail.append(bytes, have);
    return true;
  }

  /// One send for all that was put. False: close the stream.
  bool flush(Stream& stream) {
    Buffer& from = stream.unsent.empty() ? out_ : stream.unsent;
    if (&from == &stream.unsent && !out_.empty()) {
      stream.unsent.append(out_.data(), out_.size());
      out_.consume(out_.size());
    }
    while (!from.empty()) {
      const ssize_t sent = send(stream.fd, from.data(), from.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        from.consume(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != EINTR) {
        out_.consume(out_.size());
        return false;
      }
    }
    if (&from == &out_ && !out_.empty()) {
      stream.unsent.append(out_.data(), out_.size());
      out_.consume(out_.size());
    } else if (stream.unsent.empty()) {
      stream.unsent.release();
    }
    return true;
  }

 private:
  static constexpr std::size_t kReadBytes = kMaxFrameBytes;
  static constexpr std::size_t kBadFrame = static_cast<std::size_t>(-1);

  template <class OnFrame>
  static std::size_t frames(const char* bytes, std::size_t have, OnFrame&& on_frame) {
    std::size_t at = 0;
    while (have - at >= kHeaderBytes) {
      FrameHeader header;
      std::memcpy(&header, bytes + at, kHeaderBytes);
      if (header.length < kLengthAfterField + header.metadata_length) return kBadFrame;
      const std::size_t size = header.length + sizeof header.length;
      if (size > kMaxFrameBytes) return kBadFrame;
      if (have - at < size) break;
      const std::size_t skip = kHeaderBytes + header.metadata_length;
      if (!on_frame(header, bytes + at + skip, size - skip)) return kBadFrame;
      at += size;
    }
    return at;
  }

  Buffer in_;
  Buffer out_;
};

}  // namespace bench
