// SPDX-License-Identifier: BSL-1.0
#include "m3/net/tcp.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>

#include "m3/async/runtime.h"
#include "m3/obs/recording_sink.h"
#include "stream_peer.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;
using stream_test::Duo;
using stream_test::pattern;
using stream_test::Peer;
using stream_test::stream_promises;
using stream_test::until;

HostPort address(std::uint16_t port, std::string host = "127.0.0.1") {
  HostPort out;
  out.host = std::move(host);
  out.port = port;
  return out;
}

/// What one core needs for TCP.
struct Node {
  explicit Node(Core& home) : core(home), transport(home, buffers) {}
  Core& core;
  StreamBuffers buffers;
  TcpTransport transport;
};

/// Runs body(Ctx&, Node&) on core 0 of two running cores.
Status on_tcp(std::function<Task<>(Ctx&, Node&)> body) {
  RuntimeConfig config;
  config.cores = 2;
  Runtime runtime(config);
  runtime.start();
  Node node(runtime.core(0));
  return runtime.block_on(runtime.core(0), [&](Ctx& ctx) { return body(ctx, node); }).status();
}

Task<Duo> make_duo(Ctx& ctx, Node& node, std::string host = "127.0.0.1") {
  Duo duo;
  auto listener =
      TcpListener::listen(node.core, address(0, host), [&](int fd, std::string peer_name) {
        duo.acceptor = *node.transport.adopt(fd, std::move(peer_name));
      });
  if (!listener.is_ok()) co_return std::move(listener).status();
  duo.dialer = co_await node.transport.connect(ctx, address((*listener)->port(), host));
  CHECK(co_await until(ctx, [&] { return duo.acceptor != nullptr; }));
  co_return duo;
}

/// A connected pair of plain sockets, one of them ready to be adopted.
struct Sockets {
  Sockets() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* name = reinterpret_cast<sockaddr*>(&at);
    plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK((bind(listener, name, size) == 0 && listen(listener, 1) == 0));
    CHECK((getsockname(listener, name, &size) == 0 && connect(plain, name, size) == 0));
    ours = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ::close(listener);
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;
  ~Sockets() {
    if (plain >= 0) ::close(plain);
  }
  void say(std::string_view words) const {
    CHECK(::write(plain, words.data(), words.size()) == static_cast<ssize_t>(words.size()));
  }
  void end() { ::close(std::exchange(plain, -1)); }
  void reset() {
    const linger now{1, 0};
    setsockopt(plain, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    end();
  }
  int plain = -1;
  int ours = -1;
};

std::size_t open_files() {
  std::size_t count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir)) ++count;
  closedir(dir);
  return count;
}

/// For the rest of this thread's life the system watches no more descriptors for it, as it does
/// when fs.epoll.max_user_watches is reached. False: that cannot be arranged here.
bool no_more_watches() {
  constexpr auto kOp = offsetof(seccomp_data, args) + sizeof(seccomp_data::args[0]);  // low half
  std::array<sock_filter, 6> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kOp),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EPOLL_CTL_ADD, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog program{code.size(), code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("tcp: streams keep what Stream promises") {
  for (const auto& promise : stream_promises()) {
    INFO(promise.name);
    CHECK(on_tcp([&](Ctx& ctx, Node& node) {
            return promise.check(ctx, {[&](Ctx& c) { return make_duo(c, node); }, 12u << 20});
          }).is_ok());
  }
}

TEST_CASE("tcp: an accepted socket may go to another core") {
  RuntimeConfig config;
  config.cores = 2;
  Runtime runtime(config);
  Node here(runtime.core(0));
  Node there(runtime.core(1));
  std::atomic<int> accepted{-1};
  std::string name;
  auto listener = TcpListener::listen(here.core, address(0), [&](int fd, std::string peer_name) {
    name = std::move(peer_name);
    accepted = fd;
  });
  REQUIRE(listener.is_ok());
  runtime.start();
  const std::string question = pattern(2u << 20, 1);
  const std::string answer = pattern(2u << 20, 2);
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
    Peer a;
    a.start(co_await here.transport.connect(ctx, address((*listener)->port())));
    CHECK(a.stream().peer_name() == "127.0.0.1:" + std::to_string((*listener)->port()));
    a.send(question);
    CHECK(co_await until(ctx, [&] { return accepted >= 0; }));
    co_await run_on(ctx, runtime.core(1), [&](Ctx& far) -> Task<> {
      Peer b;
      b.start(*there.transport.adopt(accepted, name));
      b.send(answer);
      CHECK(co_await until(far, [&] { return b.seen == question.size() && b.unsent() == 0; }));
      CHECK((b.received == question));
      CHECK(b.stream().peer_name().starts_with("127.0.0.1:"));
      co_return ok;
    });
    CHECK(co_await until(ctx, [&] { return a.closed == 1; }));
    CHECK((a.received == answer));
    (*listener)->close();
    co_return ok;
  });
  CHECK(outcome.is_ok());
  runtime.stop();
}

TEST_CASE("tcp: bytes and the end that came together are both seen, however it ended") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          for (const bool reset : {false, true}) {
            for (const bool before_start : {true, false}) {
              Sockets pair;
              Peer peer;
              peer.own(*node.transport.adopt(pair.ours, "plain"));
              if (!before_start) {
                peer.start();
                co_await sleep(ctx, 5ms);
              }
              pair.say("last words");
              reset ? pair.reset() : pair.end();
              if (before_start) {
                co_await sleep(ctx, 5ms);
                peer.start();
              }
              CHECK(co_await until(ctx, [&] { return peer.closed == 1; }));
              CHECK(peer.received == "last words");
              CHECK(peer.why.code() == Errc::unavailable);
              co_await sleep(ctx, 20ms);
              CHECK(peer.closed == 1);
            }
          }
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: an end that came with half a frame, or where more is expected, is seen at once") {
  struct Handler final : StreamHandler {
    explicit Handler(Taken answer) : taken(answer) {}
    Taken on_bytes(std::string_view bytes) override {
      seen = bytes.size();
      return taken;
    }
    void on_writable() override {}
    void on_closed(Status) override { ++closed; }
    const Taken taken;
    std::size_t seen = 0;
    int closed = 0;
  };
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          for (const StreamHandler::Taken taken :
               {StreamHandler::Taken{4, 10, false}, StreamHandler::Taken{10, 0, false, true}}) {
            Sockets pair;
            Handler handler(taken);
            auto stream = *node.transport.adopt(pair.ours, "plain");
            stream->start(handler);
            co_await sleep(ctx, 5ms);
            pair.say("last words");  // this is the core's thread: it sees both at once
            pair.end();
            co_await sleep(ctx, 100ms);  // less than it takes to notice that nothing comes
            CHECK(handler.seen == 10);
            CHECK(handler.closed == 1);
          }
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a socket that the system will not watch is an error, and nothing else") {
  CHECK(on_tcp([](Ctx&, Node& node) -> Task<> {
          const int gone = ::dup(0);
          REQUIRE(::close(gone) == 0);
          auto stream = node.transport.adopt(gone, "nobody");
          CHECK(stream.status() == Errc::resource_exhausted);
          CHECK(stream.status().text().find("cannot watch a connection") != std::string::npos);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: the peer's last words are heard although a send failed") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          Sockets pair;
          Peer peer;
          peer.own(*node.transport.adopt(pair.ours, "plain"));
          pair.say("last words");
          pair.end();
          peer.send("first: the answer is a reset");
          co_await sleep(ctx, 5ms);
          peer.send("second: fails");
          peer.start();
          CHECK(co_await until(ctx, [&] { return peer.closed == 1; }));
          CHECK(peer.received == "last words");
          CHECK(peer.why.code() == Errc::unavailable);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a close with unread bytes does not overtake sent data") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          Duo duo = co_await make_duo(ctx, node);
          Peer a;
          Peer b;
          a.start(std::move(duo.dialer));
          b.start(std::move(duo.acceptor));
          a.stream().pause_reading(true);
          b.stream().pause_reading(true);
          a.send(pattern(50000));
          co_await sleep(ctx, 5ms);
          const std::string words = pattern(1000000, 7);  // more than the peer's socket holds
          b.send(words);
          CHECK(b.unsent() == 0);
          b.stream().close();
          a.stream().pause_reading(false);
          CHECK(co_await until(ctx, [&] { return a.closed == 1; }));
          CHECK((a.received == words));
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: data sent before start() is sent after it") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          Duo duo = co_await make_duo(ctx, node);
          Peer a;
          Peer b;
          a.own(std::move(duo.dialer));
          const std::string much = pattern(12u << 20);
          a.send(much);
          CHECK(a.unsent() > 0);
          b.start(std::move(duo.acceptor));
          co_await sleep(ctx, 5ms);
          a.start();
          CHECK(co_await until(ctx, [&] { return b.seen == much.size(); }));
          CHECK((b.received == much));
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: an idle stream holds no memory but its own") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          Duo duo = co_await make_duo(ctx, node);
          Peer a;
          Peer b(Peer::Mode::frames);
          a.start(std::move(duo.dialer));
          b.start(std::move(duo.acceptor));
          const std::string whole = stream_test::frame(pattern(5000));
          a.send(whole.substr(0, 100));
          CHECK(co_await until(ctx, [&] { return b.seen == 100; }));
          CHECK(node.buffers.pool.kept_bytes() == 0);
          a.send(whole.substr(100));
          CHECK(co_await until(ctx, [&] { return b.frames.size() == 1; }));
          CHECK(node.buffers.pool.kept_bytes() > 0);  // given back
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a refused connect is unavailable and not executed, and leaks nothing") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          std::uint16_t port = 0;
          {
            auto gone = TcpListener::listen(node.core, address(0),
                                            [](int fd, const std::string&) { ::close(fd); });
            port = (*gone)->port();
          }
          const std::size_t before = open_files();
          auto refused = co_await as_result(node.transport.connect(ctx, address(port)));
          CHECK(refused.code() == Errc::unavailable);
          CHECK_FALSE(refused.status().maybe_executed());
          CHECK(refused.status().text().find("connect to 127.0.0.1:" + std::to_string(port)) !=
                std::string::npos);
          CHECK(open_files() == before);
          co_return ok;
        }).is_ok());
}

namespace {

bool system_knows(const char* name) {
  addrinfo* found = nullptr;
  const bool known = ::getaddrinfo(name, nullptr, nullptr, &found) == 0;
  if (known) ::freeaddrinfo(found);
  return known;
}

}  // namespace

TEST_CASE("tcp: an unknown name is unavailable and not executed") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          auto unknown =
              co_await as_result(node.transport.connect(ctx, address(80, "no-such-host.invalid")));
          CHECK(unknown.code() == Errc::unavailable);
          CHECK_FALSE(unknown.status().maybe_executed());
          CHECK(unknown.status().text().starts_with("look up no-such-host.invalid: "));
          if (!system_knows("localhost")) {
            WARN("this system does not know the name localhost (no /etc/hosts?)");
            co_return ok;
          }
          Duo duo = co_await make_duo(ctx, node);
          auto listener = TcpListener::listen(node.core, address(0, "localhost"),
                                              [](int fd, const std::string&) { ::close(fd); });
          auto known =
              co_await node.transport.connect(ctx, address((*listener)->port(), "localhost"));
          CHECK(known->peer_name().starts_with("127.0.0.1:"));
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a cancelled lookup is left behind") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          for (int i = 0; i < 20; ++i) {
            Ctx soon(ctx, Deadline::never());
            struct Stop final : async_detail::TimerNode {
              explicit Stop(Ctx& owner)
                  : TimerNode([](TimerNode& node) {
                      static_cast<Stop&>(node).ctx.cancel(CancelReason::superseded);
                    }),
                    ctx(owner) {}
              Ctx& ctx;
            } stop(soon);
            ctx.core().timers().add(stop, ctx.core().now());
            auto outcome = co_await as_result(
                node.transport.connect(soon, address(80, "no-such-host.invalid")));
            CHECK((outcome.code() == Errc::cancelled || outcome.code() == Errc::unavailable));
            CHECK_FALSE(outcome.status().maybe_executed());
          }
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a deadline ends a connect that hangs, and closes its socket") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          // A listener whose queue is full drops what else comes.
          const int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
          sockaddr_in at{};
          at.sin_family = AF_INET;
          at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
          socklen_t size = sizeof at;
          auto* name = reinterpret_cast<sockaddr*>(&at);
          CHECK((bind(full, name, size) == 0 && listen(full, 0) == 0));
          CHECK(getsockname(full, name, &size) == 0);
          auto dial = [&](Ctx& soon) {
            return node.transport.connect(soon, address(ntohs(at.sin_port)));
          };
          std::vector<std::unique_ptr<Stream>> fill;
          Status hung;
          std::size_t before = 0;
          for (int i = 0; i < 10 && hung.is_ok(); ++i) {
            before = open_files();
            auto stream = co_await as_result(within(ctx, 200ms, dial));
            if (stream.is_ok())
              fill.push_back(*std::move(stream));
            else
              hung = std::move(stream).status();
          }
          CHECK(hung.code() == Errc::deadline_exceeded);
          CHECK_FALSE(hung.maybe_executed());
          CHECK(open_files() <= before);
          ::close(full);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a closed listener refuses, also from inside its own callback") {
  CHECK(on_tcp([](Ctx& ctx, Node& node) -> Task<> {
          std::unique_ptr<TcpListener> listener;
          int accepted = 0;
          listener = *TcpListener::listen(node.core, address(0), [&](int fd, const std::string&) {
            ::close(fd);
            ++accepted;
            listener.reset();
          });
          const HostPort there = address(listener->port());
          auto first = co_await node.transport.connect(ctx, there);
          CHECK(co_await until(ctx, [&] { return accepted == 1; }));
          auto second = co_await as_result(node.transport.connect(ctx, there));
          CHECK(second.code() == Errc::unavailable);
          CHECK(accepted == 1);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: an address in use, or one that is none, is refused with words") {
  CHECK(on_tcp([](Ctx&, Node& node) -> Task<> {
          auto drop = [](int fd, const std::string&) { ::close(fd); };
          auto first = TcpListener::listen(node.core, address(0), drop);
          auto second = TcpListener::listen(node.core, address((*first)->port()), drop);
          CHECK(second.code() == Errc::already_exists);
          CHECK(second.status().text().starts_with("listen on 127.0.0.1:"));
          auto name = TcpListener::listen(node.core, address(1, "db.example"), drop);
          CHECK(name.code() == Errc::invalid_argument);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: a listener that the system will not watch is an error, and leaks nothing") {
  const Status outcome = on_tcp([](Ctx&, Node& node) -> Task<> {
    if (!no_more_watches()) co_return Status(Errc::unimplemented, "no filter of system calls");
    const auto drop = [](int fd, const std::string&) { ::close(fd); };
    (void)TcpListener::listen(node.core, address(0), drop);  // UBSan, as below
    const std::size_t before = open_files();
    for (int i = 0; i < 3; ++i) {
      auto refused = TcpListener::listen(node.core, address(0), drop);
      CHECK(refused.status() == Errc::resource_exhausted);
      CHECK(refused.status().text().find("127.0.0.1:0 cannot be watched") != std::string::npos);
    }
    CHECK(open_files() == before);
    co_return ok;
  });
  if (outcome == Errc::unimplemented) M3_SKIP("seccomp: " + outcome.text());
  CHECK(outcome.is_ok());
}

TEST_CASE("tcp: out of descriptors, accepting pauses, says so once, and recovers") {
  auto sink = std::make_shared<RecordingSink>();
  ScopedLogSink recording(sink);
  CHECK(on_tcp([&](Ctx& ctx, Node& node) -> Task<> {
          // UBSan needs a descriptor for each type it meets the first time.
          log::error("met: {}{}", "const char*", std::string("string").c_str());
          (void)co_await as_result(node.transport.connect(ctx, address(1)));
          std::vector<Peer> accepted(3);
          std::size_t count = 0;
          auto listener =
              *TcpListener::listen(node.core, address(0), [&](int fd, std::string peer_name) {
                accepted.at(count++).start(*node.transport.adopt(fd, std::move(peer_name)));
              });
          std::vector<Peer> dialers(3);
          rlimit old{};
          getrlimit(RLIMIT_NOFILE, &old);
          m3::log::error_limited(
              "a sanitizer opens files when it sees the formatter for the first time");
          std::vector<int> ballast;
          rlimit low = old;
          low.rlim_cur = 256;
          CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
          for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
            ballast.push_back(fd);
          for (Peer& dialer : dialers) {
            ::close(ballast.back());  // one for the dialer's end, none for the other
            ballast.pop_back();
            auto stream = co_await node.transport.connect(ctx, address(listener->port()));
            dialer.start(std::move(stream));
            dialer.send("hello");
          }
          co_await sleep(ctx, 250ms);  // more than two tries
          const std::size_t while_out = count;
          // A dial fails too, with a reason of its own.
          auto refused = co_await as_result(node.transport.connect(ctx, address(listener->port())));
          setrlimit(RLIMIT_NOFILE, &old);
          for (const int fd : ballast) ::close(fd);
          INFO(refused.status().to_string());
          CHECK(while_out == 0);
          CHECK(sink->count("cannot accept a connection") == 1);
          CHECK(sink->count("raise the limit of open files") == 1);
          CHECK(refused.code() == Errc::resource_exhausted);
          CHECK_FALSE(refused.status().maybe_executed());
          CHECK(co_await until(ctx, [&] {
            return std::all_of(accepted.begin(), accepted.end(),
                               [](const Peer& peer) { return peer.received == "hello"; });
          }));
          CHECK(sink->count("accepting connections again") == 1);
          co_return ok;
        }).is_ok());
}

TEST_CASE("tcp: IPv6 works where there is any") {
  Status outcome = on_tcp([](Ctx& ctx, Node& node) -> Task<> {
    Duo duo = co_await make_duo(ctx, node, "::1");
    CHECK(duo.dialer->peer_name().starts_with("[::1]:"));
    CHECK(duo.acceptor->peer_name().starts_with("[::1]:"));
    Peer a;
    Peer b;
    a.start(std::move(duo.dialer));
    b.start(std::move(duo.acceptor));
    a.send("six");
    CHECK(co_await until(ctx, [&] { return b.received == "six"; }));
    co_return ok;
  });
  if (!outcome.is_ok()) M3_SKIP("no IPv6 here: " + outcome.to_string());
}

TEST_CASE("net: host:port is parsed, and the errors name the fault") {
  struct Row {
    const char* text;
    const char* host;  // nullptr: refused
    unsigned port;
    const char* why;
  };
  const Row rows[] = {
      {"127.0.0.1:20051", "127.0.0.1", 20051, ""},
      {"localhost:0", "localhost", 0, ""},
      {"db-1.game:65535", "db-1.game", 65535, ""},
      {"[::1]:80", "::1", 80, ""},
      {"[fe80::1%eth0]:80", "fe80::1%eth0", 80, ""},
      {"", nullptr, 0, "the port is missing"},
      {"localhost", nullptr, 0, "the port is missing"},
      {":80", nullptr, 0, "the host is missing"},
      {"::1:80", nullptr, 0, "in brackets"},
      {"[::1]", nullptr, 0, "in brackets"},
      {"[]:80", nullptr, 0, "neither a name nor an IP address"},
      {"[x:80", nullptr, 0, "neither a name nor an IP address"},
      {"a b:80", nullptr, 0, "neither a name nor an IP address"},
      {"tcp/x:80", nullptr, 0, "neither a name nor an IP address"},
      {"*:80", nullptr, 0, "write 0.0.0.0 or [::]"},
      {"x:", nullptr, 0, "from 0 to 65535"},
      {"x:65536", nullptr, 0, "from 0 to 65535"},
      {"x:99999999999", nullptr, 0, "from 0 to 65535"},
      {"x:-1", nullptr, 0, "from 0 to 65535"},
      {"x:+1", nullptr, 0, "from 0 to 65535"},
      {"x: 1", nullptr, 0, "from 0 to 65535"},
      {"x:1 ", nullptr, 0, "from 0 to 65535"},
      {"x:0x10", nullptr, 0, "from 0 to 65535"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    auto parsed = HostPort::parse(row.text);
    if (row.host) {
      REQUIRE(parsed.is_ok());
      CHECK(parsed->host == row.host);
      CHECK(parsed->port == row.port);
      CHECK(parsed->to_string() == row.text);
    } else {
      CHECK(parsed.code() == Errc::invalid_argument);
      CHECK(parsed.status().text().find(row.why) != std::string::npos);
    }
  }
}

}  // namespace m3
