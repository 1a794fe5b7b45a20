// SPDX-License-Identifier: BSL-1.0
#include "m3/net/out_queue.h"

#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "m3/testing/catch.h"

namespace m3 {
namespace {

/// Queues a frame of `size` bytes that carries `id`.
bool put(OutQueue& queue, FrameKind kind, std::uint64_t id, std::size_t size = 100) {
  char* to = queue.reserve(kind, size);
  if (to == nullptr) return false;
  FrameHeader header;
  header.kind = kind;
  header.call_id = id;
  write_header(to, header, 0, size - kFrameHeaderSize);
  std::memset(to + kFrameHeaderSize, static_cast<int>('a' + id % 26), size - kFrameHeaderSize);
  queue.commit();
  return true;
}

/// Collects what goes out, as a peer that reads would.
class Peer {
 public:
  /// Takes at most `most` bytes of the queue.
  void take(OutQueue& queue, std::size_t most = SIZE_MAX) {
    while (most > 0) {
      const std::string_view bytes = queue.pending().substr(0, most);
      if (bytes.empty()) return;
      bytes_.append(bytes);
      most -= bytes.size();
      queue.consume(bytes.size());
    }
  }
  std::vector<std::uint64_t> ids() {
    FrameReader reader(bytes_, limits());
    for (Frame frame; reader.next(frame);) {
      CHECK(frame.body ==
            std::string(frame.body.size(), static_cast<char>('a' + frame.header.call_id % 26)));
      ids_.push_back(frame.header.call_id);
    }
    CHECK_FALSE(reader.failed());
    bytes_.erase(0, reader.consumed());
    return ids_;
  }
  bool has_part() const { return !bytes_.empty(); }

 private:
  static FrameLimits limits() {
    FrameLimits limits;
    limits.max_frame_bytes = kMostMaxFrameBytes;
    return limits;
  }
  std::string bytes_;
  std::vector<std::uint64_t> ids_;
};

using Ids = std::vector<std::uint64_t>;

OutLimits small_limits() {
  OutLimits limits;
  limits.buffer = 1000;
  limits.control = 1000;
  limits.response = 2000;
  limits.request = 2000;
  limits.notify = 1000;
  return limits;
}

const OutLimits kLimits;
const OutLimits kSmallLimits = small_limits();

TEST_CASE("net: while there is room frames go out in the order they came in") {
  OutBufferPool pool;
  OutQueue queue(pool, kLimits);
  put(queue, FrameKind::notify, 1);
  put(queue, FrameKind::request, 2);
  put(queue, FrameKind::ping, 3);
  CHECK(queue.size() == 300);
  Peer peer;
  peer.take(queue);
  CHECK(peer.ids() == Ids{1, 2, 3});
  CHECK(queue.empty());
}

TEST_CASE("net: an idle queue holds no memory and a busy one allocates nothing") {
  OutBufferPool pool;
  OutQueue queue(pool, kLimits);
  Peer peer;
  const auto turn = [&] {
    for (std::uint64_t i = 0; i < 500; ++i) put(queue, FrameKind::request, i, 400);
    peer.take(queue);
  };
  for (int i = 0; i < 5; ++i) turn();
  const std::uint64_t before = pool.allocations();
  for (int i = 0; i < 50; ++i) turn();
  CHECK(pool.allocations() == before);
  CHECK(queue.empty());
  CHECK(pool.kept_bytes() >= 256u << 10);  // all of it is back in the pool
  CHECK(sizeof(OutQueue) <= 256);
}

TEST_CASE("net: a frame that was reserved and not committed is never sent") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  REQUIRE(queue.reserve(FrameKind::request, 100) != nullptr);
  CHECK(queue.empty());
  CHECK(queue.pending().empty());
  put(queue, FrameKind::request, 0, 1000);
  REQUIRE(queue.reserve(FrameKind::request, 100) != nullptr);  // behind the full line
  Peer first;
  first.take(queue);
  CHECK(first.ids() == Ids{0});
  CHECK(pool.kept_bytes() == (4u << 10) + (64u << 10));  // the queue holds nothing
  put(queue, FrameKind::request, 1, 1000);
  REQUIRE(queue.reserve(FrameKind::request, 100) != nullptr);
  put(queue, FrameKind::request, 2, 100'000);
  Peer peer;
  peer.take(queue);
  CHECK(peer.ids() == Ids{1, 2});
}

TEST_CASE("net: behind a full buffer control is sent before response, request and notify") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  put(queue, FrameKind::request, 1, 1000);
  put(queue, FrameKind::notify, 2);
  put(queue, FrameKind::request, 3);
  put(queue, FrameKind::cancel, 4);
  put(queue, FrameKind::response, 5);
  put(queue, FrameKind::pong, 6);
  put(queue, FrameKind::goaway, 7);
  Peer peer;
  peer.take(queue);
  CHECK(peer.ids() == Ids{1, 6, 7, 5, 3, 4, 2});
}

TEST_CASE("net: once the line has room a higher class may pass lower ones that wait") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  put(queue, FrameKind::request, 1, 900);
  put(queue, FrameKind::request, 2, 700);
  Peer peer;
  peer.take(queue, 500);
  put(queue, FrameKind::request, 3, 100);  // not past its own class
  put(queue, FrameKind::notify, 4, 100);   // nor past a higher one
  put(queue, FrameKind::ping, 5, 100);
  peer.take(queue);
  CHECK(peer.ids() == Ids{1, 5, 2, 3, 4});
}

TEST_CASE("net: new notifies are shed first, then new requests, never the rest") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  put(queue, FrameKind::request, 0, 1000);
  for (std::uint64_t i = 0; i < 10; ++i) CHECK(put(queue, FrameKind::request, 1 + i));
  CHECK_FALSE(put(queue, FrameKind::notify, 98));
  CHECK(queue.refusal() == OutRefusal::notify_backlog);
  CHECK(queue.refusal_status().code() == Errc::resource_exhausted);
  CHECK_FALSE(queue.refusal_status().maybe_executed());
  for (std::uint64_t i = 0; i < 10; ++i) CHECK(put(queue, FrameKind::request, 11 + i));
  CHECK_FALSE(put(queue, FrameKind::request, 99));
  CHECK(queue.refusal() == OutRefusal::request_backlog);
  CHECK(put(queue, FrameKind::cancel, 21));
  CHECK(put(queue, FrameKind::response, 22));
  CHECK(put(queue, FrameKind::pong, 23));
  CHECK(queue.refusal() == OutRefusal::none);
  CHECK(queue.refused(OutRefusal::notify_backlog) == 1);
  CHECK(queue.refused(OutRefusal::request_backlog) == 1);
  Peer peer;
  peer.take(queue);
  Ids expected{0, 23, 22};
  for (std::uint64_t i = 1; i <= 21; ++i) expected.push_back(i);
  CHECK(peer.ids() == expected);
  CHECK(put(queue, FrameKind::notify, 30));
}

TEST_CASE("net: responses are never shed; the reader is told to stop, and later to continue") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  for (std::uint64_t i = 0; i < 30; ++i) CHECK(put(queue, FrameKind::response, i));
  CHECK_FALSE(queue.response_over_limit());
  for (std::uint64_t i = 30; i < 50; ++i) CHECK(put(queue, FrameKind::response, i));
  CHECK(queue.response_over_limit());
  Peer peer;
  peer.take(queue, 2500);
  CHECK(queue.response_over_limit());
  peer.take(queue, 2000);
  CHECK_FALSE(queue.response_over_limit());
  peer.take(queue);
  CHECK(peer.ids().size() == 50);
}

TEST_CASE("net: a peer that pings and does not read is noticed twice") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  put(queue, FrameKind::response, 0, 1000);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    CHECK(queue.response_over_limit() == (i > 6));
    CHECK(put(queue, FrameKind::pong, i));
  }
  CHECK_FALSE(put(queue, FrameKind::pong, 11));
  CHECK(queue.refusal() == OutRefusal::control_backlog);
}

TEST_CASE("net: one frame may always wait, however large, and keeps its place") {
  OutBufferPool pool;
  OutQueue queue(pool, kLimits);
  const std::size_t huge = 9u << 20;
  CHECK(put(queue, FrameKind::request, 1, huge));
  CHECK_FALSE(put(queue, FrameKind::request, 2, huge));
  CHECK(put(queue, FrameKind::response, 3, huge));
  CHECK(put(queue, FrameKind::response, 4, 300));
  Peer peer;
  peer.take(queue, 1000);
  put(queue, FrameKind::ping, 5, 24);
  peer.take(queue);
  CHECK(peer.ids() == Ids{3, 5, 4, 1});
  CHECK(queue.empty());
  CHECK(pool.lent_bytes() == 0);
}

TEST_CASE("net: of a dying connection it is known which frames were never sent") {
  OutBufferPool pool;
  OutQueue queue(pool, kSmallLimits);
  for (std::uint64_t i = 0; i < 20; ++i) put(queue, FrameKind::request, i);
  const auto unsent = [&queue] {
    Ids ids;
    queue.for_each_unsent([&ids](const FrameHeader& header) { ids.push_back(header.call_id); });
    return ids;
  };
  CHECK(unsent().size() == 20);
  Peer peer;
  peer.take(queue, 1);
  CHECK(unsent().size() == 19);
  peer.take(queue, 249);
  CHECK(unsent().size() == 17);
  put(queue, FrameKind::ping, 77, 200);  // moves what is left of frame 2 to the front
  CHECK(unsent().size() == 18);
  peer.take(queue, 50);
  CHECK(unsent().front() == 3);
  peer.take(queue);
  CHECK(unsent().empty());
}

/// The same promises, kept by four lists.
class Model {
 public:
  explicit Model(OutLimits limits) : limits_(limits) {}

  bool put(FrameKind kind, std::uint64_t id, std::size_t size) {
    const auto rank = static_cast<std::size_t>(out_class(kind));
    bool behind = false;
    for (std::size_t i = 0; i <= rank; ++i) behind = behind || !waits_[i].empty();
    if (!behind && line_bytes_ + size <= limits_.buffer) {
      line_.push_back({id, size});
      line_bytes_ += size;
      return true;
    }
    if (kind == FrameKind::request && over(bytes(2), size, limits_.request)) return false;
    if (kind == FrameKind::notify && over(bytes(2) + bytes(3), size, limits_.notify)) return false;
    if (rank == 0 && over(bytes(0), size, limits_.control)) return false;
    waits_[rank].push_back({id, size});
    return true;
  }
  /// The ids of the frames that are out completely after `count` more bytes.
  void take(std::size_t count, Ids& out) {
    while (count > 0) {
      if (line_.empty()) refill();
      if (line_.empty()) return;
      const std::size_t part = std::min(count, line_.front().left);
      line_.front().left -= part;
      line_bytes_ -= part;
      count -= part;
      if (line_.front().left > 0) return;
      out.push_back(line_.front().id);
      line_.pop_front();
    }
  }
  std::size_t size() const { return line_bytes_ + bytes(0) + bytes(1) + bytes(2) + bytes(3); }

 private:
  struct Item {
    std::uint64_t id;
    std::size_t left;
  };
  static bool over(std::size_t waits, std::size_t size, std::size_t limit) {
    return waits > 0 && waits + size > limit;
  }
  std::size_t bytes(std::size_t rank) const {
    std::size_t sum = 0;
    for (const Item& item : waits_[rank]) sum += item.left;
    return sum;
  }
  void refill() {
    for (auto& waits : waits_) {
      while (!waits.empty()) {
        const std::size_t size = waits.front().left;
        if (line_bytes_ > 0 && line_bytes_ + size > limits_.buffer) return;
        line_.push_back(waits.front());
        line_bytes_ += size;
        waits.pop_front();
      }
    }
  }
  OutLimits limits_;
  std::deque<Item> line_;
  std::size_t line_bytes_ = 0;
  std::array<std::deque<Item>, kOutClasses> waits_;
};

TEST_CASE("net: after any sequence of operations the queue behaves like four lists") {
  const unsigned seed = GENERATE(range(1u, 41u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  OutLimits limits = small_limits();
  limits.buffer = seed % 2 ? 1000 : 20'000;
  limits.request = 5000;
  OutBufferPool pool(seed % 3 ? 4u << 20 : 0);
  OutQueue queue(pool, limits);
  Model model(limits);
  Peer peer;
  Ids expected;
  std::uint64_t id = 0;
  for (int step = 0; step < 3000; ++step) {
    if (random() % 100 < 65) {
      const auto kind = static_cast<FrameKind>(2 + random() % 6);
      const std::size_t size = random() % 50 == 0 ? 24 + random() % 70'000 : 24 + random() % 300;
      if (random() % 20 == 0) (void)queue.reserve(kind, 24 + random() % 3000);  // and forget it
      ++id;
      REQUIRE(put(queue, kind, id, size) == model.put(kind, id, size));
    } else {
      const std::size_t count = random() % 10 == 0 ? random() % 100'000 : random() % 700;
      peer.take(queue, count);
      model.take(count, expected);
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == (model.size() == 0));
  }
  peer.take(queue);
  model.take(SIZE_MAX, expected);
  CHECK(peer.ids() == expected);
  CHECK_FALSE(peer.has_part());
}

}  // namespace
}  // namespace m3
