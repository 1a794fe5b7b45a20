// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/m3ctl/target.h"
#include "m3/async/runtime.h"
#include "m3/obs/metric.h"
#include "m3/reflection.pb.h"
#include "m3/rpc/node.h"

namespace m3ctl {

/// How a call went.
struct Outcome {
  m3::Status status;
  m3::Metadata reply;
  m3::Nanos took{0};
  std::string address;  ///< of whom it went to last; empty: nobody
};

/// One core of its own that dials a target. Blocks; used by the main thread only.
class Session {
 public:
  explicit Session(Target target);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  ///< ends the connections

  const Target& target() const { return target_; }
  Directory& directory() { return directory_; }
  /// Where a call goes whose user said nothing, or said `wanted`.
  m3::NotifyRoute route(const m3::NotifyRoute& wanted) const;

  m3::Result<m3::wire::DescribeRsp> describe(const m3::Route& route, bool brief,
                                             m3::Duration deadline, m3::Nanos* took = nullptr);
  Outcome call(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
               google::protobuf::MessageLite& response, const m3::Route& route,
               const Options& options);
  /// Ends when the instances have read it.
  Outcome notify(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                 const m3::NotifyRoute& route, const Options& options);

 private:
  Target target_;
  Directory directory_;
  m3::Runtime runtime_;
  m3::MetricRegistry metrics_;
  std::optional<m3::RpcNode> node_;
};

}  // namespace m3ctl
