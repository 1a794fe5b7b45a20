// SPDX-License-Identifier: BSL-1.0
#include "codegen/rpc_options.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "codegen/names.h"
#include "m3/base/near_names.h"
#include "m3/options.pb.h"
#include "options.pb.h"

namespace m3::codegen_detail {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::MethodDescriptor;
using google::protobuf::MethodDescriptorProto;
using google::protobuf::ServiceDescriptor;
using google::protobuf::ServiceDescriptorProto;

// The option's numbers are those of the wire.
static_assert(RpcOptions::RANDOM == static_cast<int>(RouteMode::random));
static_assert(RpcOptions::HASH == static_cast<int>(RouteMode::hash));
static_assert(RpcOptions::P2P == static_cast<int>(RouteMode::p2p));
static_assert(RpcOptions::SINGLE == static_cast<int>(RouteMode::single));
static_assert(RpcOptions::ACTOR == static_cast<int>(RouteMode::actor));
static_assert(RpcOptions::BROADCAST == static_cast<int>(RouteMode::broadcast));
static_assert(RpcOptions::MULTICAST == static_cast<int>(RouteMode::multicast));

constexpr std::int64_t kMaxTimeoutMs = 24 * 60 * 60 * 1000;

// A route_key as the user wrote it, and where.
struct NamedKey {
  std::string option;  // "(m3.rpc).route_key"
  std::string field;
  Place place;
};

// A hint: "did you mean "name"?", or else all possible names.
std::string key_fields(const Descriptor& message, const std::string& wrong) {
  std::vector<std::string> names;
  for (int i = 0; i < message.field_count(); ++i) {
    if (can_be_key(*message.field(i))) names.push_back(message.field(i)->name());
  }
  if (names.empty()) return "it has no string or integer field";
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string near = did_you_mean(wrong, views);
  return near.empty() ? "it could be " + quoted_list(names) : near;
}

// The reader of one rpc's options: the raw options, and the checks that need several of them.
class Merger {
 public:
  Merger(const MethodDescriptor& method, Diagnostics& errors)
      : method_(method),
        errors_(errors),
        rpc_(method.options().GetExtension(m3::rpc)),
        rpc_place_(
            place_of(method).at({MethodDescriptorProto::kOptionsFieldNumber, m3::kRpcFieldNumber})),
        holder_(holder_of(method)) {
    if (holder_ != nullptr) holder_option_ = holder_->options().GetExtension(::rpc_option);
  }

  MergedOptions merge() {
    MergedOptions merged;
    merged.notify = rpc_.has_notify() ? rpc_.notify() : holder_option_.ntf();
    merged.client = rpc_.has_client() ? rpc_.client() : holder_option_.cs();
    merged.trace = rpc_.has_trace() ? rpc_.trace() : holder_option_.trace();
    merged.idempotent = rpc_.idempotent();
    merged.sync = rpc_.durability() == RpcOptions::SYNC;
    merged.timeout_ms = timeout();
    merged.route_key = route_key();
    merged.route = route(merged);
    check(merged);
    return merged;
  }

 private:
  Place place(int field) const { return rpc_place_.at({field}); }
  bool is_actor() const { return method_.service()->options().HasExtension(m3::actor); }

  std::uint32_t timeout() {
    if (!rpc_.has_timeout_ms()) return 0;
    if (rpc_.timeout_ms() < 1 || rpc_.timeout_ms() > kMaxTimeoutMs) {
      errors_.error(
          place(RpcOptions::kTimeoutMsFieldNumber),
          "timeout_ms is " + std::to_string(rpc_.timeout_ms()) +
              ", but must be 1 to 86400000 (a day); leave it out for the config's default");
      return 0;
    }
    return static_cast<std::uint32_t>(rpc_.timeout_ms());
  }

  std::optional<NamedKey> named_key() const {
    if (rpc_.has_route_key()) {
      return NamedKey{"(m3.rpc).route_key", rpc_.route_key(),
                      place(RpcOptions::kRouteKeyFieldNumber)};
    }
    if (holder_ != nullptr) {
      const Place place =
          place_of(*holder_).at({DescriptorProto::kOptionsFieldNumber, ::kRpcOptionFieldNumber,
                                 M3GRPCOption::kRouteKeyFieldNumber});
      if (!holder_option_.route_key().empty()) {
        return NamedKey{"(rpc_option).route_key", holder_option_.route_key(), place};
      }
    }
    return std::nullopt;
  }

  const FieldDescriptor* route_key() {
    const Descriptor& request = *method_.input_type();
    const auto key = named_key();
    if (!key) return actor_key(request);
    if (key->field.empty()) return nullptr;
    const FieldDescriptor* field = request.FindFieldByName(key->field);
    if (field == nullptr) {
      errors_.error(key->place, key->option + " '" + key->field + "' names no field of " +
                                    request.full_name() + ": " + key_fields(request, key->field));
    } else if (!can_be_key(*field)) {
      errors_.error(key->place, key->option + " '" + key->field +
                                    "' must be a single string or integer field of " +
                                    request.full_name() + ": " + key_fields(request, key->field));
      field = nullptr;
    }
    bad_key_ = field == nullptr;
    return field;
  }

  // A request without the actor's key is fine: its caller passes m3::to::actor(id). build_model()
  // sees to it that the key is a field of some request, and of the right type wherever it is one.
  const FieldDescriptor* actor_key(const Descriptor& request) const {
    const auto& actor = method_.service()->options().GetExtension(m3::actor);
    if (actor.key().empty()) return nullptr;
    const FieldDescriptor* field = request.FindFieldByName(actor.key());
    return field != nullptr && can_be_key(*field) ? field : nullptr;
  }

  RouteMode route(const MergedOptions& merged) const {
    if (rpc_.has_route()) return static_cast<RouteMode>(rpc_.route());
    if (is_actor()) return RouteMode::actor;
    return merged.route_key != nullptr ? RouteMode::hash : RouteMode::random;
  }

  void check(const MergedOptions& merged) {
    const std::string rpc_name = "rpc " + method_.name();
    const bool to_many =
        merged.route == RouteMode::broadcast || merged.route == RouteMode::multicast;
    if (to_many && !merged.notify) {
      errors_.error(place(RpcOptions::kRouteFieldNumber),
                    "route " + RpcOptions::Route_Name(rpc_.route()) + " needs `notify: true`: " +
                        rpc_name + " answers, and an answer comes from one instance");
    }
    if (merged.route == RouteMode::hash && merged.route_key == nullptr && !bad_key_) {
      errors_.error(place(RpcOptions::kRouteFieldNumber),
                    "route HASH needs a route_key, a string or integer field of " +
                        method_.input_type()->full_name());
    }
    if (merged.route == RouteMode::actor && !is_actor()) {
      errors_.error(
          place(RpcOptions::kRouteFieldNumber),
          "route ACTOR needs `option (m3.actor)` on service " + method_.service()->name());
    }
    if (merged.sync && merged.notify) {
      errors_.error(place(RpcOptions::kDurabilityFieldNumber),
                    "durability SYNC holds the answer back until it is stored, but " + rpc_name +
                        " is a notify and has no answer");
    }
  }

  const MethodDescriptor& method_;
  Diagnostics& errors_;
  RpcOptions rpc_;
  Place rpc_place_;
  const Descriptor* holder_;
  M3GRPCOption holder_option_;
  bool bad_key_ = false;  // an error about the key has been given
};

}  // namespace

Place place_of(const Descriptor& message) {
  if (const Descriptor* outer = message.containing_type()) {
    return place_of(*outer).at({DescriptorProto::kNestedTypeFieldNumber, message.index()});
  }
  return {message.file(), {FileDescriptorProto::kMessageTypeFieldNumber, message.index()}};
}

Place place_of(const ServiceDescriptor& service) {
  return {service.file(), {FileDescriptorProto::kServiceFieldNumber, service.index()}};
}

Place place_of(const MethodDescriptor& method) {
  return place_of(*method.service())
      .at({ServiceDescriptorProto::kMethodFieldNumber, method.index()});
}

const Descriptor* holder_of(const MethodDescriptor& method) {
  const Descriptor* outer = method.input_type()->containing_type();
  const bool holds = outer != nullptr && outer->name() == method.name() &&
                     outer->options().HasExtension(::rpc_option);
  return holds ? outer : nullptr;
}

bool can_be_key(const FieldDescriptor& field) {
  if (field.is_repeated()) return false;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return true;
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_STRING;
    default:
      return false;
  }
}

MergedOptions merge_options(const MethodDescriptor& method, Diagnostics& errors) {
  return Merger(method, errors).merge();
}

}  // namespace m3::codegen_detail
