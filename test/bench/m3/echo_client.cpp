// SPDX-License-Identifier: BSL-1.0
// m3's own client of the benchmark: generated client, deadlines, pending table and all.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "echo.m3.h"
#include "m3/async/scope.h"
#include "m3/async/when.h"
#include "m3/rpc/node.h"
#include "support/client_run.h"

namespace bench {
namespace {

/// So many connections to one server: each counts as an instance, picked by its number.
class Numbered final : public m3::Resolver {
 public:
  Numbered(int count, int port) {
    instances_.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      auto instance = std::make_shared<m3::Instance>();
      instance->address.host = "127.0.0.1";
      instance->address.port = static_cast<std::uint16_t>(port);
      instance->slot = static_cast<std::uint32_t>(i);
      instances_.push_back(std::move(instance));
    }
  }
  m3::Pick pick(const m3::RouteQuery& query) override {
    std::size_t number = 0;
    std::from_chars(query.key.data(), query.key.data() + query.key.size(), number);
    return {instances_[number].get(), {}, {}, nullptr};
  }
  std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core&, const m3::ServiceId&) override {
    return {};
  }

 private:
  std::vector<std::shared_ptr<const m3::Instance>> instances_;
};

m3::Task<> call_on(m3::Ctx& ctx, EchoClient& echo, ClientRun& run, const EchoReq& request,
                   std::string connection) {
  EchoRsp response;
  do {
    co_await echo.echo(ctx, request, response, m3::to::app(connection));
    if (response.data().size() != request.data().size())
      co_return m3::Status(m3::Errc::data_loss, "the server answered wrongly");
  } while (run.finished_call());
  co_return m3::ok;
}

m3::Task<> run_all(m3::Ctx& ctx, m3::RpcNode& node, const ClientOptions& options, ClientRun& run) {
  EchoClient echo(node);
  EchoReq request;
  request.set_data(std::string(static_cast<std::size_t>(options.payload_bytes), 'x'));
  EchoRsp response;
  for (int i = 0; i < options.connections;
       ++i)  // every connection is there before the first counted call
    co_await echo.echo(ctx, request, response, m3::to::app(std::to_string(i)));
  run.begin();
  std::vector<m3::Task<>> workers;
  for (int i = 0; i < options.connections; ++i)
    for (int k = 0; k < options.outstanding; ++k)
      workers.push_back(call_on(ctx, echo, run, request, std::to_string(i)));
  auto all = m3::when_all(ctx.core(), std::move(workers));
  co_await std::move(all);
  co_return m3::ok;
}

int measure(const ClientOptions& options) {
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  Numbered server(options.connections, options.port);
  m3::MetricRegistry metrics;
  m3::RpcNode::Options node_options;
  node_options.id = *m3::AppId::parse("bench.w.client.1");
  m3::RpcNode node(runtime, std::move(node_options), server, metrics);
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [&](m3::Ctx& ctx) -> m3::Task<> {
    ClientRun run(options);  // on the core's thread, whose costs it counts
    auto body = m3::as_result(run_all(ctx, node, options, run));
    auto ended = co_await std::move(body);
    if (ended.is_ok()) run.print("m3");
    auto stopped = node.stop(ctx);
    co_await std::move(stopped);
    co_return std::move(ended).status();
  });
  if (outcome.is_ok()) return 0;
  std::fprintf(stderr, "m3_echo_client: %s\n", outcome.status().to_string().c_str());
  return 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_client(argc, argv);
  bench::allow_many_files();
  return bench::measure(options);
}
