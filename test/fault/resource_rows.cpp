// SPDX-License-Identifier: BSL-1.0
// What a process runs out of, and what its operator gets wrong.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "support/filters.h"
#include "support/instance.h"

using namespace fault;

namespace {

/// Connections that say nothing.
class Crowd {
 public:
  Crowd(const m3::HostPort& to, int count) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(to.port);
    inet_pton(AF_INET, to.host.c_str(), &name.sin_addr);
    for (int i = 0; i < count; ++i) {
      sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      (void)::connect(sockets_.back(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
    }
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  /// Waits until the peer has had enough of each.
  void sit_out() const {
    for (int one : sockets_) {
      char sink[4096];
      for (pollfd readable{one, POLLIN, 0}; ::poll(&readable, 1, 20000) == 1;)
        if (::recv(one, sink, sizeof sink, 0) <= 0) break;
    }
  }
  ~Crowd() {
    for (int one : sockets_) ::close(one);
  }

 private:
  std::vector<int> sockets_;
};

/// What `from` hears when it calls `to`.
std::string relay(Load& load, const std::string& from, const std::string& to) {
  std::string outcome;
  const m3::Status status = load.run([&](m3::Ctx& ctx, m3::App& app) -> m3::Task<> {
    m3::Ctx soon(ctx, m3::Deadline(ctx.core().now() + 10s));
    FaultClient client(app);
    RelayReq req;
    req.set_to(to);
    outcome = (co_await client.relay(soon, req, m3::to::app(from))).outcome();
    co_return m3::ok;
  });
  return status ? outcome : status.to_string();
}

}  // namespace

TEST_CASE("fault: too many open files") {
  Row row("fault: too many open files");
  INFO("again: " << row.replay());
  const Instance two(kTwo);
  const Instance third("dev.w.fault.3");
  const std::string nobody = "dev.w.fault.4";
  const Instance one(kOne,
                     static_peers({peer(kTwo, two.address()), peer(third.id(), third.address()),
                                   nobody + "@127.0.0.1:1"}),
                     "127.0.0.1:0", "ulimit -n 48");
  Load::Options options;
  options.config = static_router({&one, &two});
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  REQUIRE(relay(load, kOne, kTwo) == "ok");
  // UBSan opens files to look at a kind of object for the first time: let it see a failed call and
  // one that is sent away.
  REQUIRE(relay(load, kOne, nobody) != "ok");
  Crowd(one.address(), 1).sit_out();
  const Held before = held_by(load, kOne);
  {
    const Crowd crowd(one.address(), 100);
    REQUIRE(one.process().says("cannot accept a connection: Too many open files"));
    // At once: those who say nothing are sent away after 2 s.
    const std::string outcome = relay(load, kOne, third.id());
    row.holds("where it calls, what needs a new connection fails: " + outcome,
              outcome.find("raise the limit of open files") != std::string::npos);
    row.holds("... and what has one goes on", relay(load, kOne, kTwo) == "ok");
    const TimePoint at = now();
    REQUIRE(load.more_calls(400));
    row.holds("it said so, and went on answering those who were there",
              load.answered_by(kOne, at) != TimePoint::max());
  }
  const TimePoint gone = now();
  REQUIRE(one.process().says("accepting connections again"));
  row.note("accepting connections again " + ms(now() - gone) + " after the others had left");
  REQUIRE(eventually([&] { return relay(load, kOne, third.id()) == "ok"; }));
  row.within_mark("it reaches the third instance after", now() - gone, 3s);
  Load::Options more;
  more.id = "dev.w.load.2";
  more.first_id = 1000000;
  more.config = static_router({&one});
  {
    Load second(std::move(more));
    CHECK(second.answered_by(kOne, gone) != TimePoint::max());
    CHECK(second.stop());
  }
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
  check_calls(row, load, {kOne, kTwo});
  // One connection more than before: to the third instance.
  check_baseline(row, kOne, {before.files + 1, before.bytes}, [&] { return held_by(load, kOne); });
}

TEST_CASE("fault: a start without files to open") {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
  M3_SKIP("UBSan opens files itself to look at objects: run it in build/");
#endif
  Row row("fault: a start without files to open");
  INFO("again: " << row.replay());
  for (const unsigned files : {5u, 6u, 7u, 8u}) {
    std::string why;
    try {
      const Instance one(kOne, "", "127.0.0.1:0", "ulimit -n " + std::to_string(files));
    } catch (const std::exception& error) {
      why = error.what();
    }
    row.note(why);
    row.holds("it ends with an error that says which limit",
              why.find("raise the limit of open files") != std::string::npos &&
                  why.find("terminate called") == std::string::npos);
  }
}

TEST_CASE("fault: a bad configuration on reload") {
  Row row("fault: a bad configuration on reload");
  INFO("again: " << row.replay());
  Instance one(kOne);
  const Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  one.config().write("listen = \"127.0.0.1:0\"\nweight = \"heavy\"\nstop_timout = \"1s\"\n");
  one.process().signal(SIGHUP);
  REQUIRE(one.process().says("the previous one stays in effect"));
  const std::string said = one.output();
  row.holds("it names file, line and key of each error, and what was meant",
            said.find(one.config().path() + ":2: weight") != std::string::npos &&
                said.find("did you mean \"stop_timeout\"") != std::string::npos);
  const TimePoint at = now();
  CHECK(load.answered_by(kOne, at) != TimePoint::max());
  one.config().write("listen = \"127.0.0.1:0\"\ncores = 1\nweight = 50\n");
  one.process().signal(SIGHUP);
  REQUIRE(one.process().says("weight = 50"));
  REQUIRE(load.more_calls(100));
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
  check_calls(row, load, {kOne, kTwo});
}
