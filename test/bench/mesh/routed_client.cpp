// SPDX-License-Identifier: BSL-1.0
// Echo calls to one of many instances: chosen by the mesh (random, hash, p2p; own-keys: by hash,
// each worker with keys of one instance), or the same connections with a resolver that has nothing
// to choose (fixed).
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "echo.m3.h"
#include "m3/async/scope.h"
#include "m3/async/when.h"
#include "m3/rpc/node.h"
#include "mesh/mesh_node.h"
#include "support/client_run.h"

namespace bench {
namespace {

constexpr int kKeys = 1024;
constexpr std::size_t kOwnKeys = 16;

std::vector<std::uint16_t> ports_of(const std::string& list) {
  std::vector<std::uint16_t> out;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    out.push_back(static_cast<std::uint16_t>(std::atoi(list.substr(at, comma - at).c_str())));
    at = comma + 1;
  }
  return out;
}

/// Nothing to choose: the call brings the number of its instance.
class Fixed final : public m3::Resolver {
 public:
  explicit Fixed(const std::vector<std::uint16_t>& ports) {
    for (std::size_t i = 0; i < ports.size(); ++i) {
      const m3::Member member = listed(static_cast<int>(i) + 1, ports[i]);
      auto instance = std::make_shared<m3::Instance>();
      instance->id = member.id;
      instance->address = member.address;
      instance->generation = member.generation;
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

/// The routes that one worker takes in turn; short keys, so that none of them allocates.
std::vector<m3::Route> routes_of(const ClientOptions& options, int worker) {
  if (options.route == "fixed")  // as many as own keys, so that they take as much room in caches
    return std::vector<m3::Route>(kOwnKeys, m3::to::app(std::to_string(worker)));
  if (options.route == "random") return {m3::to::random()};
  if (options.route == "p2p")
    return {m3::to::app("bench.world1.echo." + std::to_string(worker + 1))};
  std::vector<m3::Route> out;
  for (int i = 0; i < kKeys; ++i)
    out.push_back(m3::to::hash("role:" + std::to_string(worker * kKeys + i)));
  return out;
}

/// Instead: keys whose owner is the worker's own instance, so that calls come in the same batches
/// as when nothing is chosen.
m3::Status take_own_keys(MeshNode& node, std::vector<std::vector<m3::Route>>& routes) {
  std::map<std::string, std::vector<m3::Route>*> of;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    routes[i].clear();
    of["bench.world1.echo." + std::to_string(i + 1)] = &routes[i];
  }
  const auto snapshot = node.mesh().snapshot(m3::Core::current(), node.service());
  std::size_t missing = routes.size() * kOwnKeys;
  for (int i = 0; missing > 0 && i < 1'000'000; ++i) {
    const std::string key = "role:" + std::to_string(i);
    const auto owner = of.find(snapshot->owner(key)->id.to_string());
    if (owner == of.end() || owner->second->size() == kOwnKeys) continue;
    owner->second->push_back(m3::to::hash(key));
    --missing;
  }
  if (missing == 0) return m3::ok;
  return m3::Status(m3::Errc::internal, "hash routing leaves an instance without keys");
}

m3::Task<> call_on(m3::Ctx& ctx, EchoClient& echo, ClientRun& run, const EchoReq& request,
                   const std::vector<m3::Route>& routes, std::size_t at) {
  EchoRsp response;
  do {
    at = at + 1 < routes.size() ? at + 1 : 0;
    co_await echo.echo(ctx, request, response, routes[at]);
    if (response.data().size() != request.data().size())
      co_return m3::Status(m3::Errc::data_loss, "the server answered wrongly");
  } while (run.finished_call());
  co_return m3::ok;
}

m3::Task<> run_all(m3::Ctx& ctx, m3::RpcNode& node, MeshNode* mesh, const ClientOptions& options,
                   ClientRun& run) {
  EchoClient echo(node);
  EchoReq request;
  request.set_data(std::string(static_cast<std::size_t>(options.payload_bytes), 'x'));
  EchoRsp response;
  std::vector<std::vector<m3::Route>> routes;
  // Every connection is there before the first counted call.
  for (int i = 0; i < options.connections; ++i) {
    routes.push_back(routes_of(options, i));
    co_await echo.echo(ctx, request, response,
                       options.route == "fixed"
                           ? routes.back().front()
                           : m3::to::app("bench.world1.echo." + std::to_string(i + 1)));
  }
  co_await echo.echo(ctx, request, response, routes.front().front());
  if (options.route == "own-keys")
    if (m3::Status status = take_own_keys(*mesh, routes); !status) co_return status;
  run.begin();
  const std::size_t workers =
      static_cast<std::size_t>(options.connections) * static_cast<std::size_t>(options.outstanding);
  std::vector<m3::Task<>> calls;
  for (std::size_t i = 0; i < workers; ++i) {
    const auto& mine = routes[i % routes.size()];
    calls.push_back(call_on(ctx, echo, run, request, mine, i * 61 % mine.size()));
  }
  auto all = m3::when_all(ctx.core(), std::move(calls));
  co_await std::move(all);
  co_return m3::ok;
}

int fail(const m3::Status& why) {
  std::fprintf(stderr, "m3_routed_client: %s\n", why.to_string().c_str());
  return 1;
}

m3::Status measure_on(m3::Runtime& runtime, m3::RpcNode& node, MeshNode* mesh,
                      const ClientOptions& options) {
  return runtime
      .block_on(runtime.core(0),
                [&](m3::Ctx& ctx) -> m3::Task<> {
                  ClientRun run(options);  // on the core's thread, whose costs it counts
                  auto body = run_all(ctx, node, mesh, options, run);
                  co_await std::move(body);
                  run.print(options.route.c_str());
                  co_return m3::ok;
                })
      .status();
}

int measure_fixed(const ClientOptions& options) {
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime runtime(one);
  Fixed resolver(ports_of(options.ports));
  m3::MetricRegistry metrics;
  m3::RpcNode::Options node_options;
  node_options.id = *m3::AppId::parse("bench.world1.client.1");
  m3::RpcNode node(runtime, std::move(node_options), resolver, metrics);
  runtime.start();
  const m3::Status outcome = measure_on(runtime, node, nullptr, options);
  auto stopped = runtime.block_on(runtime.core(0), [&](m3::Ctx& ctx) { return node.stop(ctx); });
  if (!outcome) return fail(outcome);
  return stopped.is_ok() ? 0 : fail(stopped.status());
}

int measure_routed(const ClientOptions& options) {
  MeshNode node(1);
  const auto ports = ports_of(options.ports);
  node.run(0, [&](m3::Ctx& ctx) { (void)node.mesh().snapshot(ctx.core(), node.service()); });
  for (bool listed_now = false; !listed_now;) {
    node.run(0, [&](m3::Ctx&) {
      if (!node.router().is_watched()) return;
      std::vector<m3::Member> list;
      for (std::size_t i = 0; i < ports.size(); ++i)
        list.push_back(listed(static_cast<int>(i) + 1, ports[i]));
      node.router().tell(std::move(list));
      listed_now = true;
    });
  }
  const m3::Status outcome = measure_on(node.runtime(), node.node(), &node, options);
  return outcome ? 0 : fail(outcome);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  auto options = bench::parse_client(argc, argv);
  for (const std::string_view known : {"fixed", "random", "hash", "own-keys", "p2p"})
    if (options.route == known)
      return known == "fixed" ? bench::measure_fixed(options) : bench::measure_routed(options);
  std::fprintf(stderr,
               "m3_routed_client: --route is fixed, random, hash, own-keys or p2p, not \"%s\"\n",
               options.route.c_str());
  return 2;
}
