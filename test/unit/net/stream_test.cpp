// SPDX-License-Identifier: BSL-1.0
// What m3/net/stream.h promises, whatever carries the bytes: run over TCP and over loopback.
#include "stream_peer.h"

namespace m3::stream_test {
namespace {

using namespace std::chrono_literals;
using Mode = Peer::Mode;

Task<> bytes_both_ways(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b;
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  const std::string there = pattern(make.much, 1);
  const std::string back = pattern(make.much / 4, 2);
  a.send(there);
  b.send(back);
  CHECK(co_await until(ctx, [&] { return b.seen >= there.size() && a.seen >= back.size(); }));
  CHECK((b.received == there));
  CHECK((a.received == back));
  CHECK(a.closed + b.closed == 0);
  CHECK(a.writable > 0);
  co_return ok;
}

Task<> frames_cut_anywhere(Ctx& ctx, MakeDuo make) {
  const std::vector<std::string> bodies = {pattern(5, 1), "", pattern(60, 2), "x", pattern(33, 3)};
  std::string all;
  for (const std::string& body : bodies) all += frame(body);
  for (const Mode mode : {Mode::frames, Mode::frames_of_unknown_size}) {
    for (std::size_t cut = 1; cut < all.size(); ++cut) {
      Duo duo = co_await make(ctx);
      Peer a;
      Peer b(mode);
      a.start(std::move(duo.dialer));
      b.start(std::move(duo.acceptor));
      a.send(all.substr(0, cut));
      CHECK(co_await until(ctx, [&] { return b.seen == cut; }));
      a.send(all.substr(cut));
      CHECK(co_await until(ctx, [&] { return b.seen == all.size(); }));
      CHECK((b.frames == bodies));
    }
  }
  co_return ok;
}

Task<> frames_of_all_sizes(Ctx& ctx, MakeDuo make) {
  constexpr std::size_t kRead = StreamBuffers::kReadBytes;
  for (const Mode mode : {Mode::frames, Mode::frames_of_unknown_size}) {
    Duo duo = co_await make(ctx);
    Peer a;
    Peer b(mode);
    a.start(std::move(duo.dialer));
    b.start(std::move(duo.acceptor));
    std::vector<std::string> bodies;
    for (const std::size_t size :
         {std::size_t{0}, kRead / 2 - 4, kRead / 2, kRead - 5, kRead - 4, kRead - 3, kRead,
          kRead + 1, std::size_t{10}, 4 * kRead, std::size_t{3u << 20}, std::size_t{1}})
      bodies.push_back(pattern(size, static_cast<unsigned>(size)));
    std::size_t total = 0;
    for (const std::string& body : bodies) {
      a.send(frame(body));
      total += 4 + body.size();
    }
    CHECK(co_await until(ctx, [&] { return b.seen == total; }));
    CHECK((b.frames == bodies));
    CHECK(b.closed == 0);
  }
  co_return ok;
}

Task<> a_slow_reader_holds_the_sender(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b;
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  b.stream().pause_reading(true);
  const std::string much = pattern(make.much);
  a.send(much);
  CHECK(a.unsent() > 0);
  a.send("more");  // falls short again: still one on_writable at a time
  co_await sleep(ctx, 30ms);
  CHECK(a.unsent() > 0);
  CHECK(b.seen == 0);
  b.stream().pause_reading(false);
  CHECK(co_await until(ctx, [&] { return b.seen == much.size() + 4; }));
  CHECK(a.unsent() == 0);
  CHECK(a.writable > 0);
  CHECK((b.received == much + "more"));
  co_return ok;
}

Task<> pausing_in_a_callback_keeps_whole_frames(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b(Mode::frames);
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  b.most_frames_per_call = 1;
  b.on_frame = [&] { b.stream().pause_reading(true); };
  a.send(frame("one") + frame("two") + frame("three"));
  CHECK(co_await until(ctx, [&] { return b.frames.size() == 1; }));
  for (std::size_t n = 2; n <= 3; ++n) {
    co_await sleep(ctx, 30ms);
    CHECK(b.frames.size() == n - 1);
    b.stream().pause_reading(false);
    CHECK(co_await until(ctx, [&] { return b.frames.size() == n; }));
  }
  a.send(frame("four"));
  co_await sleep(ctx, 30ms);
  CHECK(b.frames.size() == 3);
  b.stream().pause_reading(false);
  CHECK(co_await until(ctx, [&] { return b.frames.size() == 4; }));
  CHECK(b.frames.back() == "four");
  co_return ok;
}

Task<> bytes_sent_before_a_close_arrive(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b;
  a.start(std::move(duo.dialer));
  b.own(std::move(duo.acceptor));
  a.send("last words");
  a.stream().close();
  co_await sleep(ctx, 30ms);
  b.start();  // the bytes and the close lie there together
  CHECK(co_await until(ctx, [&] { return b.closed > 0; }));
  CHECK(b.received == "last words");
  CHECK(b.why.code() == Errc::unavailable);
  co_await sleep(ctx, 30ms);
  CHECK(b.closed == 1);
  CHECK(a.closed == 0);  // its own close
  co_return ok;
}

Task<> a_close_comes_while_the_reader_is_paused(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b;
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  b.stream().pause_reading(true);
  a.send("last words");
  a.stream().close();
  co_await sleep(ctx, 50ms);
  CHECK(b.closed == 0);
  CHECK(b.received.empty());
  b.stream().pause_reading(false);
  CHECK(co_await until(ctx, [&] { return b.closed == 1; }));
  CHECK(b.received == "last words");
  co_return ok;
}

Task<> sending_to_a_closed_peer_ends_it_once(Ctx& ctx, MakeDuo make) {
  for (const bool paused : {false, true}) {
    Duo duo = co_await make(ctx);
    Peer a;
    Peer b;
    a.start(std::move(duo.dialer));
    b.start(std::move(duo.acceptor));
    b.stream().pause_reading(paused);
    a.send("last words");
    a.stream().close();
    CHECK(co_await until(ctx, [&] {
      if (b.closed == 0) b.send("anyone there?");
      return b.closed > 0;
    }));
    b.send("nobody");  // dropped
    co_await sleep(ctx, 30ms);
    CHECK(b.closed == 1);
    if (!paused) CHECK(b.received == "last words");
  }
  co_return ok;
}

Task<> close_inside_a_callback_is_the_end(Ctx& ctx, MakeDuo make) {
  // The tail that was shown together with the closing frame stays readable in the callback.
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b(Mode::frames);
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  b.on_frame = [&] {
    if (b.frames.size() == 2) b.stream().close();
  };
  const std::string large = pattern(400u << 10);
  a.send(frame("one") + frame(large) + frame("three"));
  CHECK(co_await until(ctx, [&] { return a.closed == 1; }));
  CHECK(b.frames.size() >= 2);
  CHECK((b.frames[1] == large));
  const int shown = b.shown;
  co_await sleep(ctx, 30ms);
  CHECK(b.shown == shown);
  CHECK(b.closed == 0);
  co_return ok;
}

Task<> a_stream_dies_with_things_under_way(Ctx& ctx, MakeDuo make) {
  Duo duo = co_await make(ctx);
  Peer a;
  Peer b;
  a.start(std::move(duo.dialer));
  b.start(std::move(duo.acceptor));
  a.send(pattern(make.much));
  b.send("hello");
  b.stream().pause_reading(true);
  b.stream().pause_reading(false);
  b.drop();
  CHECK(co_await until(ctx, [&] { return a.closed == 1; }));
  a.drop();
  Duo unstarted = co_await make(ctx);
  unstarted.dialer->send("x");
  co_await sleep(ctx, 30ms);
  co_return ok;
}

}  // namespace

const std::vector<Promise>& stream_promises() {
  static const std::vector<Promise> all = {
      {"bytes go both ways, however much", &bytes_both_ways},
      {"frames cut anywhere arrive whole", &frames_cut_anywhere},
      {"frames of all sizes arrive whole", &frames_of_all_sizes},
      {"a slow reader holds the sender back", &a_slow_reader_holds_the_sender},
      {"pausing in a callback keeps whole frames", &pausing_in_a_callback_keeps_whole_frames},
      {"bytes sent before a close arrive", &bytes_sent_before_a_close_arrive},
      {"a close waits until the reader goes on", &a_close_comes_while_the_reader_is_paused},
      {"sending to a closed peer ends it once", &sending_to_a_closed_peer_ends_it_once},
      {"close() inside a callback is the end", &close_inside_a_callback_is_the_end},
      {"a stream may die with things under way", &a_stream_dies_with_things_under_way},
  };
  return all;
}

}  // namespace m3::stream_test
