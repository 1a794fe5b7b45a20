// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/net/stream.h"
#include "m3/obs/metric.h"
#include "m3/rpc/admission.h"
#include "m3/rpc/caller.h"
#include "m3/rpc/host.h"
#include "m3/rpc/interceptor.h"
#include "m3/rpc/resolver.h"
#include "m3/rpc/rpc_config.h"
#include "m3/rpc/service.h"

namespace m3 {

namespace rpc_detail {
class RpcCore;
struct RpcShared;
}  // namespace rpc_detail

/// The RPC part of one app: its share on every core, its services and its listening sockets. Owned
/// by App (tests own one directly); the runtime, resolver and metrics must outlive it.
///
/// Set up first (serve, intercept), then listen; stop() before it is destroyed. Used on a core of
/// another runtime it ends the process with log::fatal, as nothing there is guarded by locks.
class RpcNode final : public Host {
 public:
  struct Options {
    AppId id;
    std::uint64_t generation = 0;  ///< until set_generation()
    std::uint64_t run_id = 0;      ///< of this start of the app
    RpcConfig config;
    /// Creates each core's transport; unset: TCP.
    std::function<std::unique_ptr<Transport>(Core&)> transport;
    /// The host of contexts and clients; unset: this node.
    Host* host = nullptr;
  };
  RpcNode(Runtime& runtime, Options options, Resolver& resolver, MetricRegistry& metrics);
  RpcNode(const RpcNode&) = delete;
  RpcNode& operator=(const RpcNode&) = delete;
  ~RpcNode();

  const AppId& app_id() const override;
  Caller& caller() override;

  /// Before listen(). The caller keeps the service, and the runner of its calls; without one they
  /// run as the service says. already_exists: its name is taken.
  Status serve(Service& service, CallRunner* runner = nullptr);
  const std::vector<Service*>& services() const;
  /// Before listen(); in order, first = outermost.
  void intercept_calls(std::shared_ptr<Interceptor> interceptor,  ///< made from here
                       Intercepts which = Intercepts::app_calls);
  void intercept_requests(std::shared_ptr<Interceptor> interceptor,  ///< that come here
                          Intercepts which = Intercepts::app_calls);
  void intercept(const InterceptorLists& lists);
  /// Before listen(); called in that order. `make` is called once for each core.
  void admit_by(const std::function<std::unique_ptr<Admission>(Core&)>& make);

  /// Accepts on core 0 and distributes the connections to the cores in turn. Returns the port.
  Task<std::uint16_t> listen(Ctx& ctx, HostPort address);
  /// Serves a stream that was accepted elsewhere, on the current core.
  void accept(std::unique_ptr<Stream> stream);

  /// Handles a notify that did not arrive over a connection, on the current core: a whole frame,
  /// from the app `peer`. An error: it was not handled, and was counted.
  Status deliver(std::string_view frame, Deadline deadline, std::string_view peer);

  /// What hellos say from now on. On any core.
  void set_generation(std::uint64_t generation) noexcept;
  /// Tells dialers whether this app's own health check fails, in hellos and pongs; returns what
  /// they were told before. On any core.
  bool set_sick(bool sick) noexcept;
  /// Tells dialers to use other instances; calls that arrive nevertheless are served.
  Task<> leave(Ctx& ctx);
  /// After leave(): dialers find it serving again.
  Task<> come_back(Ctx& ctx);
  /// Refuses new calls (not executed), tells dialers to use other instances, waits for running
  /// handlers.
  Task<> drain(Ctx& ctx);
  /// Stops listening, closes every connection, cancels running handlers and waits for them as long
  /// as `ctx` allows. deadline_exceeded: handlers that do not finish were named in the log and left
  /// behind; the node may be destroyed, their service only when they have finished.
  Task<> stop(Ctx& ctx);

  /// Handlers of this process, of any node, that a stop had to leave behind and that are still
  /// running: everything they use must be kept.
  static std::size_t left_behind() noexcept;

  std::size_t running() const;      ///< handlers on this core
  std::size_t connections() const;  ///< of this core

 private:
  Task<> on_every_core(Ctx& ctx, Task<> (RpcNode::*step)(Ctx&));
  Task<> leave_here(Ctx& ctx);
  Task<> come_back_here(Ctx& ctx);
  Task<> drain_here(Ctx& ctx);
  Task<> stop_here(Ctx& ctx);
  void hand_over(int fd, std::string peer_name);
  rpc_detail::RpcCore& here() const;

  Runtime& runtime_;
  std::unique_ptr<rpc_detail::RpcShared> shared_;
  std::vector<std::unique_ptr<rpc_detail::RpcCore>> cores_;
  std::unique_ptr<class TcpListener> listener_;
  unsigned next_core_ = 0;
  bool stopped_ = false;
};

}  // namespace m3
