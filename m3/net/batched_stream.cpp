// SPDX-License-Identifier: BSL-1.0
#include "m3/net/batched_stream.h"

#include <deque>
#include <string>
#include <utility>

#include "m3/async/core.h"

namespace m3 {

/// Kept alive by the turn-end queue while it is queued.
struct BatchedStream::Impl final : StreamHandler,
                                   async_detail::Runnable,
                                   std::enable_shared_from_this<BatchedStream::Impl> {
  Impl(Core& owner, std::unique_ptr<Stream> made, StreamHandler& told)
      : Runnable(async_detail::run_member<Runnable, &Impl::turn_ends>),
        core(owner),
        stream(std::move(made)),
        handler(&told) {}

  Taken on_bytes(std::string_view bytes) override {
    if (!handler) return Taken{bytes.size()};
    received += bytes.size() - std::exchange(shown, 0);
    const Taken taken = handler->on_bytes(bytes);
    shown = bytes.size() - taken.bytes;
    return taken;
  }
  void on_writable() override { flush(); }
  void on_closed(Status why) override {
    if (StreamHandler* told = std::exchange(handler, nullptr)) told->on_closed(std::move(why));
  }
  void turn_ends() {
    const std::shared_ptr<Impl> self = std::move(queued);
    flush();
  }
  void flush() {
    if (!handler || sent == out.size()) return;
    const std::size_t taken = stream->send(std::string_view(out).substr(sent));
    sent += taken;
    all_sent += taken;
    for (; !marks.empty() && marks.front().end <= all_sent; marks.pop_front())
      unsent -= marks.front().weight;
    if (sent == out.size() || sent > kMost) {
      out.erase(0, std::exchange(sent, 0));
      if (out.empty() && out.capacity() > kMost) std::string().swap(out);
    }
  }

  struct Mark {
    std::uint64_t end;  // of the message, among all bytes that were ever appended
    std::uint32_t weight;
  };
  static constexpr std::size_t kMost = 256u << 10;  // how much memory is kept
  Core& core;
  const std::unique_ptr<Stream> stream;
  StreamHandler* handler;  // null: closed
  std::string out;
  std::size_t sent = 0;
  std::uint64_t all_sent = 0;  // ever
  std::deque<Mark> marks;      // of messages that are not completely sent
  std::uint64_t unsent = 0;    // their weight
  std::size_t shown = 0;       // of what comes next, again
  std::uint64_t received = 0;
  std::shared_ptr<Impl> queued;
};

BatchedStream::BatchedStream(Core& core, std::unique_ptr<Stream> stream, StreamHandler& handler)
    : impl_(std::make_shared<Impl>(core, std::move(stream), handler)) {
  impl_->stream->start(*impl_);
}

BatchedStream::~BatchedStream() { close(); }

void BatchedStream::append(std::initializer_list<std::string_view> parts) {
  if (!impl_->handler) return;
  for (const std::string_view part : parts) impl_->out.append(part);
  if (impl_->queued) return;
  impl_->queued = impl_;
  impl_->core.at_turn_end(*impl_);
}

void BatchedStream::mark(std::uint32_t weight) {
  if (!impl_->handler) return;
  impl_->marks.push_back({impl_->all_sent + waiting(), weight});
  impl_->unsent += weight;
}

std::uint64_t BatchedStream::unsent() const { return impl_->unsent; }
std::size_t BatchedStream::waiting() const { return impl_->out.size() - impl_->sent; }
std::uint64_t BatchedStream::received() const { return impl_->received; }
bool BatchedStream::is_open() const { return impl_->handler != nullptr; }

void BatchedStream::close() {
  if (!impl_->handler) return;
  impl_->flush();
  impl_->handler = nullptr;
  impl_->stream->close();
}

}  // namespace m3
