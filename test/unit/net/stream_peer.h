// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/timer.h"
#include "m3/net/stream.h"
#include "m3/testing/catch.h"

namespace m3::stream_test {

/// Waits until `holds()`; false when it does not come true in 10 s.
inline Task<bool> until(Ctx& ctx, std::function<bool()> holds) {
  const TimePoint end = ctx.core().now() + std::chrono::seconds(10);
  while (!holds()) {
    if (ctx.core().now() > end) co_return false;
    co_await sleep(ctx, std::chrono::milliseconds(1));
  }
  co_return true;
}

/// u32 length, then that many bytes.
inline std::string frame(std::string_view body) {
  const auto size = static_cast<std::uint32_t>(body.size());
  std::string out(sizeof size, '\0');
  std::memcpy(out.data(), &size, sizeof size);
  return out.append(body);
}

/// Bytes that differ from place to place, so that a lost or repeated piece shows.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
  std::string out(size, '\0');
  std::uint32_t x = seed * 2654435761u + 1;
  for (char& c : out) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return out;
}

/// One end: sends what it is told, as the stream takes it, and notes what happens.
class Peer final : public StreamHandler {
 public:
  enum class Mode { raw, frames, frames_of_unknown_size };
  explicit Peer(Mode mode = Mode::raw) : mode_(mode) {}

  void own(std::unique_ptr<Stream> stream) { stream_ = std::move(stream); }
  void start(std::unique_ptr<Stream> stream) {
    own(std::move(stream));
    start();
  }
  void start() { stream_->start(*this); }
  Stream& stream() { return *stream_; }
  bool has_stream() const { return stream_ != nullptr; }
  void drop() { stream_.reset(); }

  void send(std::string_view bytes) {
    out_.append(bytes);
    flush();
  }
  std::size_t unsent() const { return out_.size() - sent_; }

  std::size_t seen = 0;  ///< bytes that arrived, taken or not
  std::string received;  ///< raw mode
  std::vector<std::string> frames;
  std::size_t most_frames_per_call = SIZE_MAX;
  std::function<void()> on_frame;  ///< after each frame, or each piece in raw mode
  char last_byte = 0;
  int shown = 0;
  int writable = 0;
  int closed = 0;  ///< a callback after the end counts too
  Status why;

  Taken on_bytes(std::string_view bytes) override {
    if (closed > 0) ++closed;
    ++shown;
    Taken taken;
    if (mode_ == Mode::raw) {
      received.append(bytes);
      taken.bytes = bytes.size();
      seen += bytes.size();
      if (on_frame) on_frame();
      return taken;
    }
    for (std::size_t n = 0; n < most_frames_per_call; ++n) {
      const std::string_view rest = bytes.substr(taken.bytes);
      std::uint32_t size = 0;
      if (rest.size() < sizeof size) break;
      std::memcpy(&size, rest.data(), sizeof size);
      if (rest.size() < sizeof size + size) {
        if (mode_ == Mode::frames) taken.needed = sizeof size + size - rest.size();
        break;
      }
      frames.emplace_back(rest.substr(sizeof size, size));
      taken.bytes += sizeof size + size;
      if (on_frame) on_frame();
    }
    seen += bytes.size() - kept_;
    kept_ = bytes.size() - taken.bytes;
    last_byte = bytes.back();  // readable to the end of the call, whatever on_frame did
    return taken;
  }
  void on_writable() override {
    if (closed > 0) ++closed;
    ++writable;
    flush();
  }
  void on_closed(Status status) override {
    ++closed;
    why = std::move(status);
  }

 private:
  void flush() {
    while (sent_ < out_.size()) {
      const std::size_t taken = stream_->send(std::string_view(out_).substr(sent_));
      sent_ += taken;
      if (sent_ < out_.size()) return;
    }
    out_.clear();
    sent_ = 0;
  }

  Mode mode_;
  std::unique_ptr<Stream> stream_;
  std::string out_;
  std::size_t sent_ = 0;
  std::size_t kept_ = 0;
};

/// Two ends of one connection on ctx's core, not started.
struct Duo {
  std::unique_ptr<Stream> dialer;
  std::unique_ptr<Stream> acceptor;
};
struct MakeDuo {
  std::function<Task<Duo>(Ctx&)> make;
  std::size_t much;  ///< more than a connection takes while nobody reads
  Task<Duo> operator()(Ctx& ctx) const { return make(ctx); }
};

/// What every kind of stream promises; each runs on a fresh connection.
struct Promise {
  const char* name;
  Task<> (*check)(Ctx& ctx, MakeDuo make);
};
const std::vector<Promise>& stream_promises();

}  // namespace m3::stream_test
