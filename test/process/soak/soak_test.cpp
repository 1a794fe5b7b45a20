// SPDX-License-Identifier: BSL-1.0
// Long runs over real sockets: what is used must come back. `./dev test --long` runs a million
// connections and ten million calls, else a small part of that.
#include <dirent.h>
#include <malloc.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/rpc/node.h"
#include "m3/testing/catch.h"
#include "soak.m3.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#define M3_SOAK_ASAN 1
#endif
#endif

namespace {

using m3::Ctx;
using m3::Task;

bool is_long() { return std::getenv("M3_LONG") != nullptr; }

/// Bytes of the heap in use: exact, unlike the resident size.
std::size_t heap_bytes() {
#ifdef M3_SOAK_ASAN
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

std::size_t open_files() {
  std::size_t count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

class Handler final : public soak::EchoService {
 public:
  Task<> echo(Ctx&, const soak::EchoReq& req, soak::EchoRsp& rsp) override {
    rsp.set_text(req.text());
    co_return m3::ok;
  }
};

m3::RpcNode::Options options(const std::string& id) {
  m3::RpcNode::Options out;
  out.id = *m3::AppId::parse(id);
  return out;
}

m3::HostPort loopback(std::uint16_t port) {
  m3::HostPort address;
  address.host = "127.0.0.1";
  address.port = port;
  return address;
}

/// A server and the list that finds it.
struct Server {
  Server() : runtime(config()), node(runtime, options("dev.w.echo.1"), resolver, metrics) {
    REQUIRE(node.serve(handler).is_ok());
    runtime.start();
    auto port =
        runtime.block_on(runtime.core(0), [&](Ctx& ctx) { return node.listen(ctx, loopback(0)); });
    REQUIRE(port.is_ok());
    REQUIRE(peers.add(*m3::AppId::parse("dev.w.echo.1"), loopback(*port)).is_ok());
  }
  ~Server() {
    auto stopped = runtime.block_on(runtime.core(0), [&](Ctx& ctx) { return node.stop(ctx); });
    CHECK(stopped.is_ok());
  }
  static m3::RuntimeConfig config() {
    m3::RuntimeConfig out;
    out.cores = 2;
    return out;
  }
  m3::Runtime runtime;
  m3::MetricRegistry metrics;
  m3::StaticResolver resolver;  // the server calls nobody
  m3::StaticResolver peers;
  Handler handler;
  m3::RpcNode node;
};

Task<> calls(Ctx& ctx, m3::RpcNode& node, int count) {
  soak::EchoClient echo(node);
  soak::EchoReq req;
  req.set_text("sixty-four bytes or so, as a game's small message would have them");
  soak::EchoRsp rsp;
  for (int i = 0; i < count; ++i) {
    co_await echo.echo(ctx, req, rsp);
    if (rsp.text() != req.text()) co_return m3::Status(m3::Errc::data_loss, "another answer");
  }
  co_return m3::ok;
}

/// One connection: made, used for one call, ended.
Task<> connect_call_disconnect(Ctx& ctx, Server& server, m3::Runtime& runtime,
                               m3::MetricRegistry& metrics) {
  auto node =
      std::make_unique<m3::RpcNode>(runtime, options("dev.w.client.1"), server.peers, metrics);
  auto outcome = co_await m3::as_result(calls(ctx, *node, 1));
  auto stopped = co_await m3::as_result(node->stop(ctx));
  if (!outcome.is_ok()) co_return std::move(outcome).status();
  co_return std::move(stopped).status();
}

}  // namespace

TEST_CASE("soak: connect, call, disconnect again and again leaves nothing behind") {
  Server server;
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  m3::MetricRegistry metrics;
  runtime.start();
  auto rounds = [&](int count) {
    return runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      for (int i = 0; i < count; ++i)
        co_await connect_call_disconnect(ctx, server, runtime, metrics);
      co_await m3::sleep(ctx, std::chrono::milliseconds(100));  // the server's side ends too
      co_return m3::ok;
    });
  };
  const int count = is_long() ? 1000000 : 1500;
  auto warm = rounds(300);
  INFO(warm.status().to_string());
  REQUIRE(warm.is_ok());
  const std::size_t heap = heap_bytes();
  const std::size_t files = open_files();
  auto outcome = rounds(count);
  INFO(outcome.status().to_string());
  REQUIRE(outcome.is_ok());
  INFO("heap " << heap << " -> " << heap_bytes() << " after " << count << " connections");
  CHECK(heap_bytes() < heap + (256u << 10));
  CHECK(open_files() <= files + 2);
}

TEST_CASE("soak: calls upon calls on one connection take no more memory") {
  Server server;
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  m3::MetricRegistry metrics;
  m3::RpcNode node(runtime, options("dev.w.client.1"), server.peers, metrics);
  runtime.start();
  auto burst = [&](int each) {
    return runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      std::vector<Task<>> workers;
      for (int i = 0; i < 64; ++i) workers.push_back(calls(ctx, node, each));
      auto all = m3::when_all(ctx.core(), std::move(workers));
      co_await std::move(all);
      co_return m3::ok;
    });
  };
  const int each = is_long() ? 10000000 / 64 : 1500;
  auto warm = burst(200);
  INFO(warm.status().to_string());
  REQUIRE(warm.is_ok());
  const std::size_t heap = heap_bytes();
  auto outcome = burst(each);
  INFO(outcome.status().to_string());
  REQUIRE(outcome.is_ok());
  INFO("heap " << heap << " -> " << heap_bytes());
  CHECK(heap_bytes() < heap + (256u << 10));
  auto stopped = runtime.block_on(runtime.core(0), [&](Ctx& ctx) { return node.stop(ctx); });
  CHECK(stopped.is_ok());
}
