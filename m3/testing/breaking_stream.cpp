// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/breaking_stream.h"

#include <utility>

namespace m3::testing {
namespace {

class BreakingStream final : public Stream, StreamHandler {
 public:
  BreakingStream(Core& core, std::unique_ptr<Stream> stream, FailAt& fail)
      : under_(std::move(stream)), fail_(fail), telling_(std::make_shared<Telling>(core, *this)) {}
  ~BreakingStream() override { telling_->stream = nullptr; }

  void start(StreamHandler& handler) override {
    handler_ = &handler;
    if (broken_) return telling_->later(telling_);
    under_->start(*this);
  }
  std::size_t send(std::string_view bytes) override {
    if (broken_) return bytes.size();
    if (!fail_.now()) return under_->send(bytes);
    under_->send(bytes.substr(0, bytes.size() / 2));
    break_now();
    return bytes.size();
  }
  void pause_reading(bool paused) override { under_->pause_reading(paused); }
  void close() override {
    handler_ = nullptr;
    under_->close();
  }
  TimePoint came_by() const override { return under_->came_by(); }
  const std::string& peer_name() const override { return under_->peer_name(); }

 private:
  /// on_closed() comes from the core, never out of send().
  struct Telling final : Core::Runnable {
    Telling(Core& home, BreakingStream& owner)
        : Runnable(&Telling::fire), core(home), stream(&owner) {}
    void later(const std::shared_ptr<Telling>& self) {
      if (keep) return;
      keep = self;
      core.post(*this);
    }
    static void fire(Core::Runnable& work) {
      const auto self = std::move(static_cast<Telling&>(work).keep);
      if (self->stream) self->stream->tell();
    }
    Core& core;
    BreakingStream* stream;
    std::shared_ptr<Telling> keep;
  };

  Taken on_bytes(std::string_view bytes) override {
    if (!fail_.now()) return handler_->on_bytes(bytes);
    break_now();
    return {};
  }
  void on_writable() override {
    if (!fail_.now()) return handler_->on_writable();
    break_now();
  }
  void on_closed(Status why) override {
    if (handler_) std::exchange(handler_, nullptr)->on_closed(std::move(why));
  }
  void break_now() {
    broken_ = true;
    under_->close();
    telling_->later(telling_);
  }
  void tell() {
    on_closed(Status(Errc::unavailable, "broken at step " + std::to_string(fail_.step())));
  }

  std::unique_ptr<Stream> under_;
  FailAt& fail_;
  std::shared_ptr<Telling> telling_;
  StreamHandler* handler_ = nullptr;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<Stream> breaking_stream(Core& core, std::unique_ptr<Stream> stream, FailAt& fail) {
  return std::make_unique<BreakingStream>(core, std::move(stream), fail);
}

Task<std::unique_ptr<Stream>> BreakingTransport::connect(Ctx& ctx, HostPort address) {
  if (fail_.now())
    co_return Status(Errc::unavailable, "broken at step " + std::to_string(fail_.step()))
        .not_executed();
  auto stream = co_await under_.connect(ctx, std::move(address));
  co_return breaking_stream(core_, std::move(stream), fail_);
}

}  // namespace m3::testing
