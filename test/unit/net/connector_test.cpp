// SPDX-License-Identifier: BSL-1.0
// Names with several addresses, some of them silent, and name servers that do not answer.
#include "m3/net/connector.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "m3/async/runtime.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"

using m3::ConnectedSocket;
using m3::Connector;
using m3::Ctx;
using m3::Errc;
using m3::Result;
using m3::Task;
using m3::testing::eventually;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Lines = std::vector<std::string>;

namespace {

/// A listening socket on one of this machine's addresses.
class Listener {
 public:
  explicit Listener(const char* ip, std::uint16_t port = 0) {
    name_.sin_family = AF_INET;
    name_.sin_port = htons(port);
    inet_pton(AF_INET, ip, &name_.sin_addr);
    socklen_t size = sizeof name_;
    auto* address = reinterpret_cast<sockaddr*>(&name_);
    if (::bind(fd_, address, size) != 0 || ::listen(fd_, 64) != 0 ||
        ::getsockname(fd_, address, &size) != 0)
      throw std::runtime_error("no port");
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() {
    for (const int fd : waiting_) ::close(fd);
    ::close(fd_);
  }
  std::uint16_t port() const { return ntohs(name_.sin_port); }
  /// Nobody accepts, and its backlog is full: further connects get no answer at all.
  void fall_silent() {
    (void)::listen(fd_, 0);
    for (bool taken = true; taken;) {
      waiting_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      (void)::connect(waiting_.back(), reinterpret_cast<sockaddr*>(&name_), sizeof name_);
      pollfd look{waiting_.back(), POLLOUT, 0};
      taken = ::poll(&look, 1, 200) > 0;
    }
  }

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name_{};
  std::vector<int> waiting_;
};

/// A name server whose answers are held back. The threads that ask it keep it alive.
struct NameServer {
  static Connector::Resolve resolve(const std::shared_ptr<NameServer>& server) {
    return [server](const std::string& host) { return server->answer(host); };
  }
  Result<Lines> answer(const std::string& host) {
    ++asked;
    std::unique_lock lock(mutex);
    if (host.starts_with("dead")) changed.wait(lock, [this] { return released; });
    if (host == "throws") throw std::runtime_error("a mistake");
    if (host == "unknown") return m3::Status(Errc::unavailable, "no such name");
    return addresses;
  }
  void release() {
    const std::lock_guard lock(mutex);
    released = true;
    changed.notify_all();
  }
  std::atomic<int> asked = 0;
  Lines addresses{"127.0.0.1"};
  std::mutex mutex;
  std::condition_variable changed;
  bool released = false;
};

class Host {
 public:
  Host() : server(std::make_shared<NameServer>()), runtime_(one_core()) {
    runtime_.start();
    connector_ = std::make_unique<Connector>(
        runtime_.core(0), Connector::Options{250ms, NameServer::resolve(server)});
  }
  ~Host() { end(); }
  template <class Body>
  auto run(Body body) {
    return runtime_.block_on(runtime_.core(0), body);
  }
  void end() {
    if (connector_)
      (void)run([this](Ctx&) -> Task<> {
        connector_.reset();
        co_return m3::ok;
      });
    runtime_.stop();
  }
  /// The address that answered.
  Result<std::string> connect(const std::string& host, std::uint16_t port, m3::Nanos limit = 10s) {
    return run([&](Ctx& ctx) -> Task<std::string> {
      ConnectedSocket socket = co_await m3::within(
          ctx, limit, [&](Ctx& soon) { return connector_->connect(soon, {host, port}); });
      co_return socket.peer();
    });
  }
  Connector& connector() { return *connector_; }
  std::shared_ptr<NameServer> server;

 private:
  static m3::RuntimeConfig one_core() {
    m3::RuntimeConfig config;
    config.cores = 1;
    return config;
  }
  m3::Runtime runtime_;
  std::unique_ptr<Connector> connector_;
};

std::string at(const char* ip, std::uint16_t port) { return ip + (":" + std::to_string(port)); }

}  // namespace

TEST_CASE("connector: the second address answers while the first one is silent") {
  Host host;
  Listener good("127.0.0.1");
  Listener silent("127.0.0.2", good.port());
  silent.fall_silent();
  host.server->addresses = {"127.0.0.2", "127.0.0.1"};
  const auto began = Clock::now();
  auto peer = host.connect("name", good.port());
  const auto took = Clock::now() - began;
  INFO(peer.status().to_string());
  REQUIRE(peer.is_ok());
  CHECK(*peer == at("127.0.0.1", good.port()));
  CHECK(took >= 240ms);
  CHECK(took < 1s);
}

TEST_CASE("connector: an address that refuses is left at once, and the last refusal is reported") {
  Host host;
  Listener good("127.0.0.1");
  host.server->addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
  const auto began = Clock::now();
  auto peer = host.connect("name", good.port());
  REQUIRE(peer.is_ok());
  CHECK(*peer == at("127.0.0.1", good.port()));
  CHECK(Clock::now() - began < 200ms);
  host.server->addresses = {"127.0.0.2", "127.0.0.3"};
  auto none = host.connect("name", good.port());
  CHECK(none.status() == Errc::unavailable);
  CHECK(none.status().text() ==
        "connect to " + at("127.0.0.3", good.port()) + ": Connection refused");
  CHECK(!none.status().maybe_executed());
}

TEST_CASE("connector: with little time each address still has its turn, within one limit") {
  Host host;
  Listener good("127.0.0.1");
  Listener one("127.0.0.2", good.port()), two("127.0.0.3", good.port());
  one.fall_silent();
  two.fall_silent();
  host.server->addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
  CHECK(host.connect("name", good.port(), 300ms).is_ok());
  host.server->addresses = {"127.0.0.2", "127.0.0.3"};
  const auto began = Clock::now();
  CHECK(host.connect("name", good.port(), 300ms).status() == Errc::deadline_exceeded);
  CHECK(Clock::now() - began < 1s);
}

TEST_CASE("connector: addresses are not looked up, and both families are known") {
  Host host;
  Listener good("127.0.0.1");
  CHECK(host.connect("127.0.0.1", good.port()).is_ok());
  CHECK(host.server->asked == 0);
  host.server->addresses = {"::1", "::1", "127.0.0.1"};
  auto peer = host.connect("name", good.port());
  REQUIRE(peer.is_ok());
  CHECK(*peer == at("127.0.0.1", good.port()));
  // One family may have more than the other: all are tried.
  host.server->addresses = {"::1", "127.0.0.2", "127.0.0.3", "127.0.0.1"};
  peer = host.connect("name", good.port());
  REQUIRE(peer.is_ok());
  CHECK(*peer == at("127.0.0.1", good.port()));
}

TEST_CASE("connector: a dead name server holds up neither other names nor the end") {
  Host host;
  Listener good("127.0.0.1");
  const auto began = Clock::now();
  CHECK(host.connect("dead", good.port(), 50ms).status() == Errc::deadline_exceeded);
  // It is asked once for all who want the same name.
  for (int i = 0; i < 5; ++i)
    CHECK(host.connect("dead", good.port(), 5ms).status() == Errc::deadline_exceeded);
  CHECK(host.server->asked == 1);
  CHECK(host.connect("name", good.port()).is_ok());
  CHECK(host.connect("127.0.0.1", good.port()).is_ok());
  host.end();
  CHECK(Clock::now() - began < 2s);
  host.server->release();
}

TEST_CASE("connector: concurrent connects to one name share its look-up") {
  Host host;
  Listener good("127.0.0.1");
  std::thread releases([&] {
    (void)eventually([&] { return host.server->asked == 1; });
    host.server->release();
  });
  auto both = host.run([&](Ctx& ctx) -> Task<> {
    co_await m3::when_all(ctx.core(), host.connector().connect(ctx, {"dead", good.port()}),
                          host.connector().connect(ctx, {"dead", good.port()}));
    co_return m3::ok;
  });
  releases.join();
  CHECK(both.status().is_ok());
  CHECK(host.server->asked == 1);
  CHECK(host.connect("dead", good.port()).is_ok());  // later ones ask anew
  CHECK(host.server->asked == 2);
}

TEST_CASE("connector: a name that is unknown, and a look-up that fails, are unavailable") {
  Host host;
  for (const char* name : {"unknown", "throws"}) {
    auto peer = host.connect(name, 1);
    CHECK(peer.status() == Errc::unavailable);
    CHECK(peer.status().text().starts_with("look up " + std::string(name) + ": "));
    CHECK(!peer.status().maybe_executed());
  }
  host.server->addresses = {};
  CHECK(host.connect("empty", 1).status() == Errc::unavailable);
}

TEST_CASE("connector: many dead names use a bounded number of threads") {
  Host host;
  auto all = host.run([&](Ctx& ctx) -> Task<> {
    for (int i = 0; i < 100; ++i)
      (void)co_await m3::as_result(m3::within(ctx, 1ms, [&](Ctx& soon) {
        return host.connector().connect(soon, {"dead" + std::to_string(i), 1});
      }));
    co_return m3::ok;
  });
  CHECK(all.is_ok());
  CHECK(host.connector().look_ups() <= 32);
  host.end();
  host.server->release();
}
