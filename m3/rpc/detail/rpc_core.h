// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "m3/async/core.h"
#include "m3/async/scope.h"
#include "m3/net/stream.h"
#include "m3/obs/metric.h"
#include "m3/rpc/admission.h"
#include "m3/rpc/caller.h"
#include "m3/rpc/detail/dispatcher.h"
#include "m3/rpc/detail/handler_times.h"
#include "m3/rpc/detail/peer_methods.h"
#include "m3/rpc/detail/server_call.h"
#include "m3/rpc/detail/standing_queue.h"
#include "m3/rpc/host.h"
#include "m3/rpc/interceptor.h"
#include "m3/rpc/resolver.h"
#include "m3/rpc/rpc_config.h"

namespace m3::rpc_detail {

class Connection;
class ServerConnection;

/// The caller, as proven by its connection.
struct ProvenPeer {
  std::string_view app_id;  // outlives the handler
  bool is_operator = false;
};

/// Data shared by all cores of one app; read-only once the app listens, except `sick`.
struct RpcShared {
  AppId id;
  std::atomic<std::uint64_t> generation = 0;  // RpcNode::set_generation()
  std::uint64_t run_id = 0;
  RpcConfig config;
  Resolver& resolver;
  MetricRegistry& metrics;
  Dispatcher dispatcher;
  Interceptors client_interceptors;
  Interceptors server_interceptors;
  Host* host = nullptr;
  std::atomic<bool> sick = false;  // RpcNode::set_sick()

  /// What this app reports about itself to every dialer.
  HelloConfig hello() const {
    HelloConfig hello;
    hello.app_id = id.to_string();
    hello.generation = generation;
    hello.run_id = run_id;
    hello.limits = config.limits;
    hello.token = config.token;
    hello.second_token = config.second_token;
    hello.operator_token = config.operator_token;
    return hello;
  }
  /// The methods in hellos: encoded by the first connection, when all services are added.
  const std::shared_ptr<const std::string>& methods() {
    std::call_once(methods_made_, [this] { methods_ = encode_methods(dispatcher.names()); });
    return methods_;
  }

  /// Without an operator token every accepted peer is an operator.
  bool all_are_operators() const noexcept { return config.operator_token.empty(); }

  RpcShared(AppId app, RpcConfig settings, Resolver& peers, MetricRegistry& registry)
      : id(std::move(app)),
        config(std::move(settings)),
        resolver(peers),
        metrics(registry),
        dispatcher(registry) {}

 private:
  std::once_flag methods_made_;
  std::shared_ptr<const std::string> methods_;
};

/// Counters of one core's connections and calls. Handles only.
struct RpcMetrics {
  explicit RpcMetrics(MetricRegistry& registry);
  std::array<Counter, 18> answers;  // by code
  std::array<Counter, 18> outcomes;
  Counter calls;
  Counter retries;
  Counter retries_denied;
  Counter ejected;
  Counter late;
  Counter not_admitted;
  Counter saturated;
  Counter overloaded;
  Counter unknown_method;
  Counter draining;
  Counter bad_request;
  Counter shed_request;
  Counter shed_notify;
  Counter bad_frame;
  Counter dead_link;
  Counter handshake_failed;
  Counter too_many_connections;
  Counter too_many_handshakes;
  Counter unexpected_response;
  Counter answers_too_large;
  Counter notifies_unsent;
  Counter escaped;
  CoreGauge server_connections;
  CoreGauge client_connections;
  CoreGauge running;
};

/// One core's share of an app's RPC: buffers, connections, callers and the way into handlers.
/// Core-local; owned by RpcNode.
class RpcCore {
 public:
  RpcCore(Core& core, RpcShared& shared, std::unique_ptr<Transport> transport);
  RpcCore(const RpcCore&) = delete;
  RpcCore& operator=(const RpcCore&) = delete;
  ~RpcCore();

  Core& core() noexcept { return core_; }
  RpcShared& shared() noexcept { return shared_; }
  const RpcConfig& config() const noexcept { return shared_.config; }
  StreamBuffers& buffers() noexcept { return buffers_; }
  Transport& transport() noexcept { return *transport_; }
  void set_transport(std::unique_ptr<Transport> transport) { transport_ = std::move(transport); }
  RpcMetrics& metrics() noexcept { return metrics_; }
  PeerMethodsPool& peer_methods() noexcept { return peer_methods_; }
  Caller& caller() noexcept { return caller_; }
  Scope& scope() noexcept { return scope_; }

  /// Serves an accepted stream.
  void accept(std::unique_ptr<Stream> stream);

  /// A request or notify that was cut out of a connection. The views end with the call.
  void dispatch(CallSink& sink, const Dispatcher::Entry& entry, const FrameHeader& header,
                std::string_view metadata, std::string_view body, Deadline deadline,
                const ProvenPeer& peer);
  /// A call inside this process, made by the work described by `from`: the request is copied,
  /// nothing is encoded.
  void dispatch_local(CallSink& sink, const Dispatcher::Entry& entry,
                      const google::protobuf::MessageLite& request, const Metadata* metadata,
                      Deadline deadline, std::uint64_t id, const Ctx::Facts& from);
  /// Before the app listens.
  void add(std::unique_ptr<Admission> admission) { admissions_.push_back(std::move(admission)); }
  bool has_admissions() const noexcept { return !admissions_.empty(); }
  /// The first error of the Admissions; counted.
  Status admit(const AdmissionRequest& request);
  /// Sends the answer and returns the record to its pool. For CallSink and ServerCall.
  void finish(ServerCall& call);

  /// A notify that did not arrive over a connection: a whole frame, from `peer`. An error: it was
  /// not handled, and was counted.
  Status deliver(std::string_view frame, Deadline deadline, std::string_view peer);

  bool leaving() const noexcept { return leaving_; }
  /// Asks present and future dialers to use other instances.
  void begin_leave();
  void come_back() noexcept { leaving_ = draining_; }
  bool draining() const noexcept { return draining_; }
  /// Refuses new calls from now on, too.
  void begin_drain();
  /// Waits until no handler runs.
  Task<> drained(Ctx& ctx);
  /// Closes every connection, cancels the handlers that wait, and waits for them as long as `ctx`
  /// allows. Handlers that are still running then are named in the log and left behind: they use
  /// nothing here when they end. The error has their number.
  Task<> stop(Ctx& ctx);

  std::size_t running() const noexcept { return running_.count(); }
  /// How long handlers of a method have recently computed before they ended or waited; 0:
  /// negligible or unknown.
  Nanos cost_of(const Dispatcher::Entry& entry) const noexcept {
    return entry.index < costs_.size() ? costs_[entry.index] : Nanos(0);
  }
  void learn_cost(const Dispatcher::Entry& entry, Nanos took);
  /// The same of all methods together.
  Nanos mean_cost() const noexcept { return mean_cost_; }

  /// Whether this many more bytes are too much for this core, with those of its connections and of
  /// the requests whose handlers wait.
  bool memory_full(std::size_t more) const noexcept {
    return buffers_.pool.lent_bytes() + waiting_bytes_ + more > config().core_memory;
  }
  /// Of all requests, over all connections.
  StandingQueue& queue() noexcept { return queue_; }
  std::size_t connections() const noexcept { return connection_count_; }
  /// Connections that peers opened and whose handshake is not over, the oldest first. They have a
  /// separate limit: unproven peers take no places from proven ones.
  using Handshakes = std::list<ServerConnection*>;
  Handshakes& handshakes() noexcept { return handshakes_; }
  bool is_full() const noexcept { return accepted_ >= config().max_connections; }
  /// One has finished its handshake. False: there are too many connections.
  bool take_place() noexcept { return ++accepted_ <= config().max_connections; }
  void give_place() noexcept { --accepted_; }

  /// Bookkeeping of connections.
  void add(Connection& connection);
  void remove(Connection& connection);
  void born() noexcept { alive_.add(); }
  void died() noexcept { alive_.done(); }

 private:
  void run(ServerCall& call, const Dispatcher::Entry& entry);
  void wait_for(ServerCall& call);
  void no_longer_waits(ServerCall& call);
  void close_connections(const Status& why);
  void cancel_waiting(CancelReason reason);
  Status leave_behind();
  ServerCall& take(CallSink& sink, const Dispatcher::Entry& entry, Deadline deadline,
                   std::uint64_t id);
  class Handling;
  Task<> intercepted(ServerCall& call, const Dispatcher::Entry& entry);
  void fail(ServerCall& call, Status why);
  void tell_admissions(ServerCall& call, const Status& outcome);

  Core& core_;
  RpcShared& shared_;
  StreamBuffers buffers_;
  std::unique_ptr<Transport> transport_;
  RpcMetrics metrics_;
  HandlerTimes times_;
  std::vector<Nanos> costs_;  // by Dispatcher::Entry::index
  Nanos mean_cost_{0};
  std::vector<std::unique_ptr<Admission>> admissions_;
  PeerMethodsPool peer_methods_;
  bool leaving_ = false;
  bool draining_ = false;
  bool stopping_ = false;  // no new connections
  Countdown running_;
  ServerCall* waiting_ = nullptr;  // calls whose handlers wait, youngest first
  std::size_t waiting_bytes_ = 0;  // of their requests
  std::size_t delivered_ = 0;      // notifies in progress from deliver()
  StandingQueue queue_;
  Connection* connections_ = nullptr;
  std::size_t connection_count_ = 0;
  Handshakes handshakes_;
  std::size_t accepted_ = 0;  // of the connections: opened by peers, and their handshake is over
  Countdown alive_;  // connections not yet deleted, and callbacks still in the turn-end queue
  Caller caller_;
  Scope scope_;
};

}  // namespace m3::rpc_detail
