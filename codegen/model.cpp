// SPDX-License-Identifier: BSL-1.0
#include "codegen/model.h"

#include <google/protobuf/compiler/cpp/names.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

#include "codegen/entities.h"
#include "codegen/names.h"
#include "codegen/rpc_options.h"
#include "m3/base/app_id.h"
#include "m3/base/method_hash.h"
#include "m3/base/snake_case.h"
#include "m3/options.pb.h"
#include "options.pb.h"

namespace m3::codegen_detail {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileOptions;
using google::protobuf::MethodDescriptor;
using google::protobuf::MethodDescriptorProto;
using google::protobuf::ServiceDescriptor;
using google::protobuf::ServiceDescriptorProto;
using google::protobuf::SourceLocation;
namespace cpp = google::protobuf::compiler::cpp;

// Member names that the bases m3::Service and m3::ClientBase keep for themselves.
constexpr std::string_view kTakenMembers[] = {"service_name", "bindings",  "target",
                                              "call",         "call_into", "notify",
                                              "kDefaultFunc", "kPlacement"};
// Names that have another meaning inside the generated classes.
constexpr std::string_view kHiddenTypes[] = {"Service", "ClientBase"};

template <std::size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  for (std::string_view other : names) {
    if (other == name) return true;
  }
  return false;
}

std::string member_name(std::string name) {
  return is_cpp_keyword(name) || is_macro(name) || contains(kTakenMembers, name) ? name + "_"
                                                                                 : name;
}

std::string constant_name(std::string_view rpc) {
  std::string name = "k" + std::string(rpc);
  if (name[1] >= 'a' && name[1] <= 'z') name[1] = static_cast<char>(name[1] - 'a' + 'A');
  return member_name(name);
}

template <class Entity>
std::string comment_of(const Entity& entity) {
  SourceLocation location;
  return entity.GetSourceLocation(&location) ? location.leading_comments : std::string();
}

std::string placement_of(const ServiceDescriptor& service) {
  const auto& option = service.options().GetExtension(m3::service);
  if (option.has_placement()) return snake_case(ServiceOptions::Placement_Name(option.placement()));
  return service.options().HasExtension(m3::actor) ? "activated" : "stateless";
}

class Builder {
 public:
  Builder(const FileDescriptor& file, Diagnostics& errors) : file_(file), errors_(errors) {}

  FileModel build() {
    FileModel model;
    model.proto = file_.name();
    model.stem = cpp::StripProto(file_.name());
    model.cpp_namespace = cpp_namespace(file_.package());
    model.root = hides_roots() ? "::" : "";
    check_package();
    count_requests();
    for (int i = 0; i < file_.service_count(); ++i)
      model.services.push_back(service(*file_.service(i)));
    if (file_.service_count() > 0) {
      for (int i = 0; i < file_.message_type_count(); ++i) check_holder(*file_.message_type(i));
    }
    check_entities(file_, errors_);
    return model;
  }

 private:
  // `package game.m3`, or a `message m3` of the package, would be found first where the generated
  // code uses `m3::Task`.
  bool hides_roots() const {
    for (const char* root : {"m3", "std", "google"}) {
      for (std::string scope = file_.package(); !scope.empty();) {
        if (file_.pool()->FindFileContainingSymbol(scope + "." + root) != nullptr) return true;
        const auto dot = scope.rfind('.');
        scope.resize(dot == std::string::npos ? 0 : dot);
      }
    }
    return false;
  }

  void count_requests() {
    for (int s = 0; s < file_.service_count(); ++s) {
      for (int m = 0; m < file_.service(s)->method_count(); ++m) {
        ++request_uses_[file_.service(s)->method(m)->input_type()];
      }
    }
  }

  ServiceModel service(const ServiceDescriptor& service) {
    ServiceModel model;
    model.full_name = service.full_name();
    model.service_class = service.name() + "Service";
    model.client_class = service.name() + "Client";
    model.placement = placement_of(service);
    model.comment = comment_of(service);
    model.default_func = func_of(service);
    check_class(service, model.service_class);
    check_class(service, model.client_class);
    check_actor(service);
    members_.clear();
    for (int i = 0; i < service.method_count(); ++i) model.rpcs.push_back(rpc(*service.method(i)));
    for (int i = 0; i < service.method_count(); ++i) {
      model.rpcs[i].request = type_name(*service.method(i)->input_type());
      model.rpcs[i].response = type_name(*service.method(i)->output_type());
    }
    return model;
  }

  RpcModel rpc(const MethodDescriptor& method) {
    RpcModel model;
    model.name = method.name();
    model.full_name = "/" + method.service()->full_name() + "/" + method.name();
    model.method = member_name(snake_case(method.name()));
    model.constant = constant_name(method.name());
    model.comment = comment_of(method);
    check_streaming(method);
    check_runtime(method, *method.input_type(), MethodDescriptorProto::kInputTypeFieldNumber);
    check_runtime(method, *method.output_type(), MethodDescriptorProto::kOutputTypeFieldNumber);
    check_other_holder(method);
    check_member(method, model.method);
    check_member(method, model.constant);
    check_hash(method, model.full_name);
    take_options(merge_options(method, errors_), model);
    model.owns_request =
        method.input_type()->file() == &file_ && request_uses_[method.input_type()] == 1;
    return model;
  }

  static void take_options(const MergedOptions& options, RpcModel& model) {
    model.route = options.route;
    model.notify = options.notify;
    model.client = options.client;
    model.trace = options.trace;
    model.idempotent = options.idempotent;
    model.sync = options.sync;
    model.timeout_ms = options.timeout_ms;
    if (options.route_key != nullptr) {
      model.route_key = cpp::FieldName(options.route_key);
      model.route_key_is_string = options.route_key->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    }
  }

  TypeName type_name(const Descriptor& message) const {
    TypeName name{"", cpp::QualifiedClassName(&message)};
    const std::string simple = cpp::ClassName(&message);
    // Lower case: members of the base classes and parameters look like that.
    const bool hidden = (simple[0] >= 'a' && simple[0] <= 'z') || contains(kHiddenTypes, simple) ||
                        members_.count(simple) > 0;
    const bool plain = message.file()->package() == file_.package() && !hidden;
    name.local = plain ? simple : name.qualified;
    return name;
  }

  std::string func_of(const ServiceDescriptor& service) {
    const auto& option = service.options().GetExtension(m3::service);
    if (option.has_func()) {
      if (!is_id_part(option.func())) {
        errors_.error(
            service_option(service, m3::kServiceFieldNumber, ServiceOptions::kFuncFieldNumber),
            "(m3.service).func '" + option.func() +
                "' cannot be part of an app id: write 1 to 63 letters, digits, '-' or '_'");
      }
      return option.func();
    }
    const std::string func = default_func(service.name());
    if (!is_id_part(func)) {
      errors_.error(place_of(service),
                    "the func '" + func + "' made from the name of service " + service.name() +
                        " is too long for an app id: say `option (m3.service).func`");
    }
    return func;
  }

  static Place service_option(const ServiceDescriptor& service, int extension, int field) {
    return place_of(service).at({ServiceDescriptorProto::kOptionsFieldNumber, extension, field});
  }

  void check_actor(const ServiceDescriptor& service) {
    if (!service.options().HasExtension(m3::actor)) return;
    const auto& option = service.options().GetExtension(m3::service);
    if (option.has_placement() && option.placement() == ServiceOptions::STATELESS) {
      errors_.error(
          service_option(service, m3::kServiceFieldNumber, ServiceOptions::kPlacementFieldNumber),
          "placement STATELESS contradicts (m3.actor): actors have state");
    }
    const std::string& key = service.options().GetExtension(m3::actor).key();
    const Place place =
        service_option(service, m3::kActorFieldNumber, ActorOptions::kKeyFieldNumber);
    if (!key.empty()) check_actor_key(service, key, place);
  }

  void check_actor_key(const ServiceDescriptor& service, const std::string& key,
                       const Place& place) {
    bool found = false;
    for (int i = 0; i < service.method_count(); ++i) {
      const Descriptor& request = *service.method(i)->input_type();
      const FieldDescriptor* field = request.FindFieldByName(key);
      if (field == nullptr) continue;
      found = true;
      if (!can_be_key(*field)) {
        errors_.error(place, "(m3.actor).key '" + key +
                                 "' must be a single string or integer field, but in " +
                                 request.full_name() + " it is not");
      }
    }
    if (!found && service.method_count() > 0) {
      errors_.error(place,
                    "(m3.actor).key '" + key + "' names no field of any request of service " +
                        service.name() +
                        ": write `option (m3.actor) = {}` if callers always say m3::to::actor(id)");
    }
  }

  // protoc itself would write `namespace new {`.
  void check_package() {
    const bool of_m3 = file_.package() == "m3" || file_.package().rfind("m3.", 0) == 0;
    if (of_m3 && file_.service_count() > 0 && file_.name().rfind("m3/", 0) != 0)
      errors_.error({&file_, {FileDescriptorProto::kPackageFieldNumber}},
                    "package " + file_.package() +
                        " is m3's own: interceptors pass its services by; choose another");
    for (std::string_view rest = file_.package(); !rest.empty();) {
      const std::string part(rest.substr(0, rest.find('.')));
      rest.remove_prefix(std::min(part.size() + 1, rest.size()));
      if (!is_cpp_keyword(part)) continue;
      errors_.error({&file_, {FileDescriptorProto::kPackageFieldNumber}},
                    "package " + file_.package() + " cannot be a C++ namespace, because '" + part +
                        "' is a keyword of C++: rename it");
    }
  }

  void check_streaming(const MethodDescriptor& method) {
    if (!method.client_streaming() && !method.server_streaming()) return;
    const int field = method.client_streaming()
                          ? MethodDescriptorProto::kClientStreamingFieldNumber
                          : MethodDescriptorProto::kServerStreamingFieldNumber;
    errors_.error(place_of(method).at({field}),
                  "rpc " + method.name() +
                      " streams, and m3 has no streams: answer with one message, or "
                      "send several notifies");
  }

  void check_runtime(const MethodDescriptor& method, const Descriptor& message, int field) {
    if (message.file()->options().optimize_for() != FileOptions::LITE_RUNTIME) return;
    errors_.error(place_of(method).at({field}),
                  message.full_name() + " is compiled for LITE_RUNTIME (" + message.file()->name() +
                      "), but messages of rpcs need reflection");
  }

  // Generated class names are in the package, next to everything else in it.
  void check_class(const ServiceDescriptor& service, const std::string& name) {
    const std::string full = file_.package().empty() ? name : file_.package() + "." + name;
    const FileDescriptor* other = file_.pool()->FindFileContainingSymbol(full);
    if (other == nullptr || file_.pool()->FindServiceByName(full) != nullptr) return;
    errors_.error(place_of(service).at({ServiceDescriptorProto::kNameFieldNumber}),
                  "the C++ class " + name + " of service " + service.name() + " has the name of " +
                      full + " (" + other->name() + "): rename one");
  }

  void check_member(const MethodDescriptor& method, const std::string& name) {
    const auto [other, is_new] = members_.emplace(name, &method);
    if (is_new) return;
    errors_.error(place_of(method).at({MethodDescriptorProto::kNameFieldNumber}),
                  "rpc " + method.name() + " becomes " + name + " in C++, and so does rpc " +
                      other->second->name() + ": rename one");
  }

  void check_hash(const MethodDescriptor& method, const std::string& full_name) {
    const auto [other, is_new] = hashes_.emplace(method_hash(full_name), full_name);
    if (is_new) return;
    errors_.error(
        place_of(method).at({MethodDescriptorProto::kNameFieldNumber}),
        full_name + " and " + other->second + " have the same hash on the wire: rename one");
  }

  // An (rpc_option) that no rpc uses would be silently ignored.
  void check_holder(const Descriptor& message) {
    for (int i = 0; i < message.nested_type_count(); ++i) check_holder(*message.nested_type(i));
    if (!message.options().HasExtension(::rpc_option)) return;
    for (int s = 0; s < file_.service_count(); ++s) {
      for (int m = 0; m < file_.service(s)->method_count(); ++m) {
        if (file_.service(s)->method(m)->input_type()->containing_type() == &message)
          return;  // used, or refused there
      }
    }
    errors_.error(place_of(message).at({google::protobuf::DescriptorProto::kOptionsFieldNumber,
                                        ::kRpcOptionFieldNumber}),
                  "(rpc_option) on message " + message.name() + " is for an rpc named " +
                      message.name() + " that takes a message inside of it, like `rpc " +
                      message.name() + "(" + message.name() + ".Req) returns (" + message.name() +
                      ".Rsp)`: there is none in this file");
  }

  void check_other_holder(const MethodDescriptor& method) {
    const Descriptor* outer = method.input_type()->containing_type();
    if (outer == nullptr || outer->name() == method.name()) return;
    if (!outer->options().HasExtension(::rpc_option)) return;
    errors_.error(place_of(method).at({MethodDescriptorProto::kInputTypeFieldNumber}),
                  "the (rpc_option) on " + outer->full_name() + " is for an rpc named " +
                      outer->name() + ", not for rpc " + method.name() +
                      ": rename the rpc or give it a request of its own");
  }

  const FileDescriptor& file_;
  Diagnostics& errors_;
  std::map<const Descriptor*, int> request_uses_;
  std::map<std::string, const MethodDescriptor*> members_;  // of the service at hand
  std::map<std::uint32_t, std::string> hashes_;
};

}  // namespace

FileModel build_model(const FileDescriptor& file, Diagnostics& errors) {
  return Builder(file, errors).build();
}

}  // namespace m3::codegen_detail
