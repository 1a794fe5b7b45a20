// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/admin.pb.h"
#include "m3/base/result.h"
#include "m3/rpc/method.h"

namespace m3ctl {

/// An app's description of itself, from which messages can be created. Must outlive the messages
/// and MethodInfos.
class ReflectedSchema {
 public:
  static m3::Result<std::unique_ptr<ReflectedSchema>> make(m3::admin::DescribeRsp described);

  const m3::admin::DescribeRsp& described() const { return described_; }

  /// By its name or an end of it that only one method has: "/pkg.Service/Method",
  /// "Service/Method", "Method". The error lists near names.
  m3::Result<const m3::admin::DescribedMethod*> find(std::string_view name) const;

  /// The MethodInfo for a call; its name refers to `method`.
  static m3::MethodInfo info(const m3::admin::DescribedMethod& method);
  /// An empty message; null when the app did not describe the type.
  std::unique_ptr<google::protobuf::Message> message(const std::string& type) const;
  const google::protobuf::Descriptor* type(const std::string& name) const {
    return pool_.FindMessageTypeByName(name);
  }
  /// The field of the request that the .proto names as the key of hash routes; null when it names
  /// none.
  const google::protobuf::FieldDescriptor* route_key(
      const m3::admin::DescribedMethod& method) const;

 private:
  explicit ReflectedSchema(m3::admin::DescribeRsp described) : described_(std::move(described)) {}

  m3::admin::DescribeRsp described_;
  google::protobuf::DescriptorPool pool_;
  mutable google::protobuf::DynamicMessageFactory messages_;
};

}  // namespace m3ctl
