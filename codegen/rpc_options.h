// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include "codegen/diagnostics.h"
#include "m3/base/route_mode.h"

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class MethodDescriptor;
class ServiceDescriptor;
}  // namespace google::protobuf

namespace m3::codegen_detail {

/// The combined options of one rpc: (m3.rpc) on the method, (rpc_option) on the holder message and
/// (m3.actor) on the service. A field set in (m3.rpc) overrides the holder's, and that the
/// service's.
struct MergedOptions {
  RouteMode route = RouteMode::random;
  const google::protobuf::FieldDescriptor* route_key = nullptr;
  bool notify = false;
  bool client = false;
  bool trace = false;
  bool idempotent = false;
  bool sync = false;
  std::uint32_t timeout_ms = 0;
};

/// Where protoc saw these; the paths of SourceCodeInfo.
Place place_of(const google::protobuf::Descriptor& message);
Place place_of(const google::protobuf::ServiceDescriptor& service);
Place place_of(const google::protobuf::MethodDescriptor& method);

/// The message around the request, when it is named like the rpc and carries (rpc_option); else
/// null.
const google::protobuf::Descriptor* holder_of(const google::protobuf::MethodDescriptor& method);

/// A field that can be a key: one string or integer.
bool can_be_key(const google::protobuf::FieldDescriptor& field);

MergedOptions merge_options(const google::protobuf::MethodDescriptor& method, Diagnostics& errors);

}  // namespace m3::codegen_detail
