// SPDX-License-Identifier: BSL-1.0
// m3's own end of the benchmark: a whole RpcNode on one core, with generated code.
#include <csignal>
#include <cstdio>
#include <memory>

#include "echo.m3.h"
#include "m3/async/timer.h"
#include "m3/rpc/node.h"
#include "support/options.h"
#include "support/server_page.h"

namespace bench {
namespace {

class Pooled final : public EchoService {
 public:
  m3::Task<> echo(m3::Ctx&, const EchoReq& req, EchoRsp& rsp) override {
    rsp.set_data(req.data());
    co_return m3::ok;
  }
};

class ByValue final : public EchoService {
 public:
  m3::Task<EchoRsp> echo(m3::Ctx&, const EchoReq& req) override {
    EchoRsp rsp;
    rsp.set_data(req.data());
    co_return rsp;
  }
};

/// Goes through the ready queue once.
class Suspends final : public EchoService {
 public:
  m3::Task<> echo(m3::Ctx& ctx, const EchoReq& req, EchoRsp& rsp) override {
    co_await m3::yield(ctx);
    rsp.set_data(req.data());
    co_return m3::ok;
  }
};

std::unique_ptr<m3::Service> make_handler(const std::string& kind) {
  if (kind == "by_value") return std::make_unique<ByValue>();
  if (kind == "suspend") return std::make_unique<Suspends>();
  if (kind.empty() || kind == "pooled") return std::make_unique<Pooled>();
  std::fprintf(stderr, "m3_echo_server: --handler is pooled, by_value or suspend, not %s\n",
               kind.c_str());
  std::exit(2);
}

int serve(const ServerOptions& options, const std::string& page) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  m3::StaticResolver nobody;
  m3::MetricRegistry metrics;
  m3::RpcNode::Options node_options;
  node_options.id = *m3::AppId::parse("bench.w.echo.1");
  node_options.config.max_connections = 100000;
  node_options.config.overload_wait = m3::Nanos(0);  // it is to be kept busy
  m3::RpcNode node(runtime, std::move(node_options), nobody, metrics);
  const auto handler = make_handler(options.handler);
  if (auto added = node.serve(*handler); !added.is_ok()) return 1;
  runtime.start();
  m3::HostPort address;
  address.host = "127.0.0.1";
  address.port = static_cast<std::uint16_t>(options.port);
  auto port =
      runtime.block_on(runtime.core(0), [&](m3::Ctx& ctx) { return node.listen(ctx, address); });
  if (!port.is_ok()) {
    std::fprintf(stderr, "m3_echo_server: %s\n", port.status().to_string().c_str());
    return 1;
  }
  print_ready("m3_echo_server", *port, page);
  int caught = 0;
  sigwait(&ends, &caught);
  auto stopped = runtime.block_on(runtime.core(0), [&](m3::Ctx& ctx) { return node.stop(ctx); });
  return stopped.is_ok() ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_server(argc, argv);
  bench::allow_many_files();
  std::string page;
  bench::ServerPage::publish(page);
  return bench::serve(options, page);
}
