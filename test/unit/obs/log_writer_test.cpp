// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/log_writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "m3/testing/catch.h"

using namespace std::chrono_literals;
using m3::obs_detail::LogWriter;

namespace {

/// A pipe whose reader is the test.
struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    stop_reading();
    ::close(ends[1]);
  }
  void stop_reading() {
    if (ends[0] >= 0) ::close(std::exchange(ends[0], -1));
  }
  /// Reads until `end` has arrived.
  std::string read_until(const std::string& end) const {
    std::string text;
    std::array<char, 4096> buffer;
    while (text.find(end) == std::string::npos) {
      const ssize_t got = ::read(ends[0], buffer.data(), buffer.size());
      if (got <= 0) break;
      text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  std::array<int, 2> ends{};
};

const std::string kLine(999, 'x');

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++found;
  return found;
}

/// The sum over every "N log lines were dropped".
std::uint64_t dropped_as_told(const std::string& text) {
  const std::string words = " log lines were dropped\n";
  std::uint64_t sum = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
    sum += std::stoull(text.substr(text.rfind('\n', at) + 1));
  return sum;
}

}  // namespace

TEST_CASE("obs: a writer writes each line, in order") {
  Pipe pipe;
  LogWriter writer(pipe.ends[1]);
  writer.write("one");
  writer.write("two");
  CHECK(writer.flush(10s));
  CHECK(pipe.read_until("two\n") == "one\ntwo\n");
  CHECK(writer.dropped() == 0);
}

TEST_CASE("obs: a line appears without a flush") {
  Pipe pipe;
  LogWriter writer(pipe.ends[1]);
  for (int i = 0; i < 100; ++i) {
    writer.write("x");
    CHECK(pipe.read_until("x\n") == "x\n");  // would hang
  }
}

TEST_CASE(
    "obs: no caller waits for a pipe that is not read; lines that do not fit are counted and "
    "reported") {
  Pipe pipe;
  LogWriter writer(pipe.ends[1], 300'000);
  for (int i = 0; i < 1000; ++i) writer.write(kLine);  // would hang
  const std::uint64_t dropped = writer.dropped();
  CHECK(dropped >= 1000 - 300 - 66);  // a pipe holds 64 KiB
  CHECK(dropped <= 1000 - 300);
  CHECK_FALSE(writer.flush(10ms));
  std::string text;
  while (dropped_as_told(text) < dropped) text += pipe.read_until("dropped\n");
  CHECK(dropped_as_told(text) == dropped);
  CHECK(count_of(text, kLine + "\n") == 1000 - dropped);
  writer.write("again");
  CHECK(writer.flush(10s));
  CHECK(pipe.read_until("again\n") == "again\n");
}

TEST_CASE("obs: an urgent line is taken although the queue is full") {
  Pipe pipe;
  LogWriter writer(pipe.ends[1], 200'000);
  for (int i = 0; i < 1000; ++i) writer.write(kLine);
  writer.write("last words", true);
  writer.write("end", true);
  CHECK(pipe.read_until("\nend\n").find("\nlast words\n") != std::string::npos);
  CHECK(writer.dropped() > 0);
}

TEST_CASE("obs: a flush in vain is not repeated until something is read") {
  Pipe pipe;
  LogWriter writer(pipe.ends[1]);
  for (int i = 0; i < 200; ++i) writer.write(kLine);
  CHECK_FALSE(writer.flush(10ms));
  const auto began = std::chrono::steady_clock::now();
  CHECK_FALSE(writer.flush(1h));
  CHECK(std::chrono::steady_clock::now() - began < 60s);
  std::thread reader([&] { pipe.read_until("end\n"); });
  writer.write("end");
  reader.join();
  CHECK(writer.flush(10s));
}

TEST_CASE("obs: lines that a full disk or a reader that left refuses are counted") {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  if (full < 0) M3_SKIP("no /dev/full");
  {
    LogWriter writer(full);
    for (int i = 0; i < 10; ++i) writer.write("x");
    CHECK(writer.flush(10s));
    CHECK(writer.dropped() == 10);
  }
  ::close(full);
  Pipe pipe;
  pipe.stop_reading();
  LogWriter writer(pipe.ends[1]);
  writer.write("x");  // SIGPIPE would end this process
  CHECK(writer.flush(10s));
  CHECK(writer.dropped() == 1);
}

TEST_CASE("obs: a descriptor that another process made non-blocking loses nothing") {
  Pipe pipe;
  REQUIRE(::fcntl(pipe.ends[1], F_SETFL, O_NONBLOCK) == 0);
  LogWriter writer(pipe.ends[1]);
  for (int i = 0; i < 500; ++i) writer.write(kLine);
  writer.write("end");
  CHECK(pipe.read_until("end\n").size() == 500'004);
  CHECK(writer.flush(10s));
  CHECK(writer.dropped() == 0);
}

TEST_CASE("obs: several threads write at once and no line is torn") {
  Pipe pipe;
  std::string text;
  {
    LogWriter writer(pipe.ends[1]);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&writer, t] {
        for (int i = 0; i < 100; ++i) writer.write(std::string(99, static_cast<char>('a' + t)));
      });
    for (auto& thread : threads) thread.join();
    writer.write("end");
    text = pipe.read_until("end\n");
  }
  REQUIRE(text.size() == 40'004);
  for (std::size_t at = 0; at < 40'000; at += 100)
    CHECK(text.substr(at, 100) == std::string(99, text[at]) + "\n");
}

TEST_CASE("obs: the thread of a writer takes no signal that the program waits for") {
  static std::atomic<bool> taken{false};
  Pipe pipe;
  LogWriter writer(pipe.ends[1]);
  writer.write("x");
  REQUIRE(writer.flush(10s));
  const auto before = std::signal(SIGUSR2, [](int) { taken = true; });
  sigset_t mine;
  sigset_t mask;
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &mine, &mask);
  REQUIRE(::kill(::getpid(), SIGUSR2) == 0);  // to any thread that does not block it
  const timespec patience{10, 0};
  CHECK(::sigtimedwait(&mine, nullptr, &patience) == SIGUSR2);
  CHECK_FALSE(taken);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  (void)std::signal(SIGUSR2, before);
}
