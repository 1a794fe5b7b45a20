// SPDX-License-Identifier: BSL-1.0
// What is refused, shed or broken is counted with its reason: docs/reference/errors.md.
#include <algorithm>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/wire/hello.h"
#include "m3/wire/metadata_codec.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::FrameKind;
using m3::Status;
using m3::Task;

namespace {

/// A dialer that says what a well-behaved one would not.
class RawDialer final : public m3::StreamHandler {
 public:
  RawDialer(Net& net, const Net::App& to)
      : handshake_(m3::Handshake::dial(m3::HelloConfig())),
        stream_(*net.wire.connect(net.sim.core(), to.address)) {
    stream_->start(*this);
    stream_->send(handshake_.start().send);
  }
  ~RawDialer() { stream_->close(); }

  void send(FrameKind kind, std::uint32_t method, std::uint32_t deadline,
            const std::string& body = "") {
    m3::FrameHeader header;
    header.kind = kind;
    header.method = method;
    header.deadline = deadline;
    header.call_id = ++last_id;
    std::string frame(m3::frame_size(0, body.size()), '\0');
    m3::write_header(frame.data(), header, 0, body.size());
    std::copy(body.begin(), body.end(), frame.begin() + m3::kFrameHeaderSize);
    stream_->send(frame);
  }
  /// The last call's answer: its code, "executed" when the flag does not say otherwise.
  std::string answer() const {
    for (const Got& got : frames_)
      if (got.header.call_id == last_id && got.header.kind == FrameKind::response)
        return got.status.to_string() +
               ((got.header.flags & m3::kFlagNotExecuted) != 0 ? "" : " (executed)");
    return "none";
  }
  bool told_to_go() const {
    return std::any_of(frames_.begin(), frames_.end(),
                       [](const Got& got) { return got.header.kind == FrameKind::goaway; });
  }

  std::uint64_t last_id = 0;
  bool closed = false;

 private:
  struct Got {
    m3::FrameHeader header;
    Status status;
  };
  Taken on_bytes(std::string_view bytes) override {
    m3::FrameReader reader(bytes, m3::FrameLimits());
    for (m3::Frame frame; reader.next(frame);) {
      if (handshake_.state() == m3::Handshake::State::open) {
        stream_->send(handshake_.on_frame(frame).send);
        continue;
      }
      Got got;
      got.header = frame.header;
      m3::Metadata metadata;
      CHECK(m3::decode_metadata(frame.metadata, metadata).is_ok());
      if (metadata.status) got.status = metadata.status->to_status();
      frames_.push_back(std::move(got));
    }
    return {reader.consumed(), reader.needed()};
  }
  void on_writable() override {}
  void on_closed(Status) override { closed = true; }

  m3::Handshake handshake_;
  std::unique_ptr<m3::Stream> stream_;
  std::vector<Got> frames_;
};

constexpr std::uint32_t kLater = 600'000;

}  // namespace

CO_TEST("rpc: every refusal of an acceptor has its code and its counter") {
  Net net(sim);
  m3::RpcConfig small;
  small.limits.max_calls = 2;
  auto& server = net.add("dev.w.echo.1", true, small);
  auto refused = [&](const char* reason) {
    return counted(server.metrics, "m3_rpc_refused_total", reason);
  };
  RawDialer raw(net, server);
  co_await m3::sleep(ctx, 5ms);
  const std::uint32_t echo = EchoService::kEcho.hash;

  raw.send(FrameKind::request, 77, kLater);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "unimplemented: no method has the number 77");
  CHECK(refused("unknown_method") == 1);

  raw.send(FrameKind::request, echo, 1);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "deadline_exceeded: the deadline had passed on arrival");
  CHECK(refused("late") == 1);

  raw.send(FrameKind::request, echo, kLater, "\xff");
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "invalid_argument: the request is not a valid rpc_test.EchoReq");
  raw.send(FrameKind::request, EchoService::kTell.hash, kLater);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "invalid_argument: /rpc_test.Echo/Tell is a notify");
  raw.send(FrameKind::notify, echo, kLater);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "none");
  CHECK(refused("bad_request") == 3);
  CHECK(server.handler.started == 0);

  EchoReq slow;
  slow.set_wait_ms(100);
  for (int i = 0; i < 3; ++i) raw.send(FrameKind::request, echo, kLater, slow.SerializeAsString());
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "resource_exhausted: too many calls in flight on this connection");
  CHECK(refused("in_flight") == 1);
  CHECK(server.handler.started == 2);

  co_await server.node.drain(ctx);
  raw.send(FrameKind::request, echo, kLater);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.answer() == "unavailable: draining: go elsewhere");
  CHECK(refused("draining") == 1);

  CHECK_FALSE(raw.closed);
  raw.send(static_cast<FrameKind>(9), 0, 0);
  co_await m3::sleep(ctx, 5ms);
  CHECK(raw.told_to_go());
  CHECK(raw.closed);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total", "bad_frame") == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a silent dialer is let go, a dead acceptor too, and both are counted") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  RawDialer raw(net, server);  // never pings
  EchoClient echo(caller.node);
  const auto req = request("x");
  co_await echo.echo(ctx, req);
  co_await m3::sleep(ctx, 44s);
  CHECK_FALSE(raw.closed);
  co_await m3::sleep(ctx, 2s);
  CHECK(raw.closed);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
  CHECK(server.node.connections() == 1);  // the one that pings
  net.wire.freeze(true);
  co_await m3::sleep(ctx, 20s);
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
  net.wire.freeze(false);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an answer without a waiting caller is counted") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq slow;
  slow.set_wait_ms(1000);
  auto late =
      co_await as_result(m3::within(ctx, 5ms, [&](Ctx& soon) { return echo.echo(soon, slow); }));
  CHECK(late.code() == Errc::deadline_exceeded);
  co_await m3::sleep(ctx, 10ms);
  CHECK(counted(caller.metrics, "m3_rpc_unexpected_responses_total") == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: calls shed because a peer does not read are refused at once, and counted") {
  Net net(sim);
  m3::LoopbackNet::Options narrow;
  narrow.window = 4096;
  net.wire.set_options(narrow);
  m3::RpcConfig tight;
  tight.out.buffer = 4096;
  tight.out.request = 16384;
  tight.out.notify = 8192;
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false, tight);
  EchoClient echo(caller.node);
  const auto warm = request("x");
  co_await echo.echo(ctx, warm);
  net.wire.freeze(true);
  const auto large = request(std::string(1000, 'x'));
  m3::Scope scope(ctx.core());
  int refused = 0;
  auto call = [&](Ctx& c) -> Task<> {
    auto result = co_await as_result(echo.echo(c, large));
    refused += result.code() == Errc::resource_exhausted && !result.status().maybe_executed();
    co_return m3::ok;
  };
  Notice notice;
  notice.set_text(std::string(1000, 'x'));
  int kept = 0;
  int shed = 0;
  for (int i = 0; i < 40; ++i) {
    auto told = co_await as_result(echo.tell(ctx, notice));
    ++(told.is_ok() ? kept : shed);
    if (!told.is_ok()) CHECK(told.code() == Errc::resource_exhausted);
  }
  CHECK(shed > 10);
  for (int i = 0; i < 40; ++i) scope.spawn("call", call);
  CHECK(refused > 10);
  CHECK(counted(caller.metrics, "m3_rpc_shed_total", "notify") == shed);
  CHECK(counted(caller.metrics, "m3_rpc_shed_total", "request") == refused);
  net.wire.freeze(false);
  co_await scope.drain(ctx);  // the others are answered
  co_await net.stop(ctx);
}

CO_TEST("rpc: a connection without calls is closed after a long time, and made again when needed") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  co_await echo.echo(ctx, req);
  co_await m3::sleep(ctx, 9min);
  CHECK(caller.node.connections() == 1);
  co_await m3::sleep(ctx, 2min);
  CHECK(caller.node.connections() == 0);
  CHECK(server.node.connections() == 0);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total") == 0);
  co_await echo.echo(ctx, req);
  CHECK(server.handler.started == 2);
  co_await net.stop(ctx);
}
