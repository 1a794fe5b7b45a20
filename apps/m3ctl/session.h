// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/m3ctl/routing.h"
#include "apps/m3ctl/target.h"
#include "m3/admin.pb.h"
#include "m3/async/runtime.h"
#include "m3/obs/metric.h"
#include "m3/rpc/node.h"

namespace m3ctl {

/// The outcome of a call.
struct Outcome {
  m3::Status status;
  m3::Metadata reply;
  m3::Nanos took{0};
  std::string address;  ///< the last instance tried; empty: none
};

/// The key of a P2P route to the instance.
std::string key_of(const m3::Member& member);

/// Its own core, which finds and dials a target. Blocks; used by the main thread only.
class Session {
 public:
  /// invalid_argument: `target` is not valid, or not in a static list. unavailable: the router
  /// knows no instance of it. An empty target is the whole environment of the configuration.
  static m3::Result<std::unique_ptr<Session>> open(const std::string& target,
                                                   const Options& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  ///< ends the connections

  const Target& target() const { return target_; }
  /// The instances of the target; for an address nothing else is known.
  const std::vector<m3::Member>& members() const { return members_; }
  /// How they were found: "router.consul of configs/town.toml".
  const std::string& source() const { return routing_->title(); }
  /// The route of a call: `wanted`, or the target's own if the user named none.
  m3::NotifyRoute route(const m3::NotifyRoute& wanted) const;

  m3::Result<m3::admin::DescribeRsp> describe(const m3::Route& route, bool brief,
                                              m3::Duration deadline, m3::Nanos* took = nullptr);
  Outcome call(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
               google::protobuf::MessageLite& response, const m3::Route& route,
               const Options& options);
  /// Returns when the instances have read it.
  Outcome notify(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                 const m3::NotifyRoute& route, const Options& options);
  struct Reached {
    bool answers = false;
    m3::SelfReport says;  ///< whoever answers
  };
  /// The app that answers at each member's address.
  std::vector<Reached> reach();

 private:
  /// The resolver, and the instance of the last call.
  class Directory final : public m3::Resolver {
   public:
    m3::Pick pick(const m3::RouteQuery& query) override;
    std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core& core,
                                                         const m3::ServiceId& service) override {
      return resolver->all(core, service);
    }
    m3::Resolver* resolver = nullptr;
    m3::Member last;  ///< no address: the last call found no instance
  };

  Session(Target target, RouteSource source);
  m3::Status start(const Options& options);
  m3::Status find_members(const Options& options);
  m3::Status nowhere(const std::vector<m3::Member>& known) const;
  m3::AppId own_id() const;
  Outcome run(const Options& options, const std::function<m3::Task<>(m3::Ctx&)>& work);

  Target target_;
  RouteSource source_;
  m3::Runtime runtime_;
  m3::MetricRegistry metrics_;
  m3::StaticResolver direct_;         // of a target that is an address or one app
  std::unique_ptr<Routing> routing_;  // not of an address
  Directory directory_;
  std::optional<m3::RpcNode> node_;
  std::vector<m3::Member> members_;
};

}  // namespace m3ctl
