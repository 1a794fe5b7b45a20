// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/rogue_peer.h"

#include <string>

#include "m3/wire/goaway.h"

namespace m3::testing {

class RoguePeer::Connection final : public StreamHandler {
 public:
  Connection(RoguePeer& owner, std::unique_ptr<Stream> stream)
      : owner_(owner), stream_(std::move(stream)), handshake_(Handshake::accept(owner.hello_)) {}

  void start() {
    stream_->start(*this);
    if (owner_.manner == Manner::rejects)
      end(encode_goaway(Status(Errc::unauthenticated, "not you"), false));
  }
  void end(const std::string& last_words) {
    if (closed_) return;
    closed_ = true;
    if (!last_words.empty()) (void)stream_->send(last_words);
    stream_->close();
  }

 private:
  Taken on_bytes(std::string_view bytes) override {
    FrameReader reader(bytes, greeted_ ? FrameLimits() : handshake_.frame_limits());
    for (Frame frame; !closed_ && reader.next(frame);) on_frame(frame);
    return closed_ ? Taken{bytes.size(), 0, false}
                   : Taken{reader.consumed(), reader.needed(), false};
  }
  void on_writable() override {}
  void on_closed(Status) override { closed_ = true; }

  void on_frame(const Frame& frame) {
    if (owner_.manner == Manner::never_greets) return;
    if (!greeted_) return greet(frame);
    if (frame.header.kind == FrameKind::ping) return reply(FrameKind::pong, frame.header);
    if (frame.header.kind != FrameKind::request && frame.header.kind != FrameKind::notify) return;
    ++owner_.requests;
    if (owner_.on_request) owner_.on_request();
    misbehave(frame.header);
  }
  void greet(const Frame& frame) {
    const Handshake::Step step = handshake_.on_frame(frame);
    if (!step.send.empty()) (void)stream_->send(step.send);
    greeted_ = step.state == Handshake::State::done;
    if (step.state == Handshake::State::failed || (greeted_ && owner_.manner == Manner::hangs_up))
      end("");
  }
  void misbehave(const FrameHeader& request) {
    const Status why(Errc::unavailable, "as told");
    switch (owner_.manner) {
      case Manner::answers:
        if (request.kind == FrameKind::request) reply(FrameKind::response, request);
        return;
      case Manner::closes:
        return end("");
      case Manner::says_goaway:
        return end(encode_goaway(why, false));
      case Manner::drains:
        return end(encode_goaway(why, true));
      default:
        return;
    }
  }
  void reply(FrameKind kind, const FrameHeader& to) {
    FrameHeader header;
    header.kind = kind;
    header.deadline = kind == FrameKind::pong ? to.deadline : 0;
    header.call_id = to.call_id;
    std::string frame(kFrameHeaderSize, '\0');
    write_header(frame.data(), header, 0, 0);
    (void)stream_->send(frame);
  }

  RoguePeer& owner_;
  std::unique_ptr<Stream> stream_;
  Handshake handshake_;
  bool greeted_ = false;
  bool closed_ = false;
};

RoguePeer::RoguePeer(Core& core, HelloConfig hello) : core_(core), hello_(std::move(hello)) {}

RoguePeer::~RoguePeer() { close(); }

void RoguePeer::accept(std::unique_ptr<Stream> stream) {
  connected.push_back(core_.now());
  connections_.push_back(std::make_unique<Connection>(*this, std::move(stream)));
  connections_.back()->start();
}

void RoguePeer::close() {
  for (const auto& connection : connections_) connection->end("");
}

}  // namespace m3::testing
