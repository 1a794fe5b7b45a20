// SPDX-License-Identifier: BSL-1.0
// Many instances in one process on one core: each an RpcNode with an id and a port of its own, so
// that a caller holds as many connections as it would to as many processes.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "echo.m3.h"
#include "m3/rpc/node.h"
#include "support/allocations.h"
#include "support/json_line.h"
#include "support/options.h"
#include "support/server_page.h"

namespace bench {
namespace {

class Echoes final : public EchoService {
 public:
  m3::Task<> echo(m3::Ctx&, const EchoReq& req, EchoRsp& rsp) override {
    rsp.set_data(req.data());
    co_return m3::ok;
  }
};

/// One instance.
struct House {
  House(m3::Runtime& runtime, int number) : node(runtime, options(number), nobody, metrics) {}
  static m3::RpcNode::Options options(int number) {
    m3::RpcNode::Options out;
    out.config.overload_wait = m3::Nanos(0);  // it is to be kept busy
    out.id = *m3::AppId::parse("bench.world1.echo." + std::to_string(number));
    out.generation = 1;
    return out;
  }
  m3::StaticResolver nobody;
  m3::MetricRegistry metrics;
  Echoes handler;
  m3::RpcNode node;
};

int serve(const ServerOptions& options, const std::string& page) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGALRM}) sigaddset(&ends, signal);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  std::vector<std::unique_ptr<House>> houses;
  for (int i = 1; i <= options.instances; ++i) {
    houses.push_back(std::make_unique<House>(runtime, i));
    if (!houses.back()->node.serve(houses.back()->handler).is_ok()) return 1;
  }
  runtime.start();
  const m3::HostPort anywhere{"127.0.0.1", 0};
  std::string ports;
  for (auto& house : houses) {
    auto port = runtime.block_on(runtime.core(0),
                                 [&](m3::Ctx& ctx) { return house->node.listen(ctx, anywhere); });
    if (!port.is_ok()) {
      std::fprintf(stderr, "m3_farm_server: %s\n", port.status().to_string().c_str());
      return 1;
    }
    ports += (ports.empty() ? "" : ",") + std::to_string(*port);
  }
  JsonLine()
      .text("program", "m3_farm_server")
      .text("ports", ports)
      .count("pid", static_cast<std::uint64_t>(getpid()))
      .text("page", page)
      .boolean("sanitized", Allocations::sanitized())
      .print();
  int caught = 0;
  sigwait(&ends, &caught);
  for (auto& house : houses)
    if (!runtime.block_on(runtime.core(0), [&](m3::Ctx& ctx) { return house->node.stop(ctx); })
             .is_ok())
      return 1;
  return 0;
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
