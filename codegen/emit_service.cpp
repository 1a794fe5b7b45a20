// SPDX-License-Identifier: BSL-1.0
#include "codegen/emit_service.h"

namespace m3::codegen_detail {
namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string rpc_name(const RpcModel& rpc) {
  return rpc.full_name.substr(rpc.full_name.rfind('/') + 1);
}

// "hash by name, client": what a reader of the header wants to know of the options.
std::string summary(const RpcModel& rpc) {
  std::string text(route_mode_name(rpc.route));
  if (!rpc.route_key.empty()) text += " by " + rpc.route_key;
  if (rpc.notify) text += ", notify";
  if (rpc.client) text += ", client";
  if (rpc.trace) text += ", trace";
  if (rpc.idempotent) text += ", idempotent";
  if (rpc.sync) text += ", sync";
  if (rpc.timeout_ms != 0) text += ", " + std::to_string(rpc.timeout_ms) + " ms";
  return text;
}

std::string getter(const FileModel& file, const TypeName& type) {
  return "[]() -> const " + file.root + "google::protobuf::Message& { return " + type.local +
         "::default_instance(); }";
}

void emit_route_key(const FileModel& file, const RpcModel& rpc, Writer& out) {
  const std::string value =
      "static_cast<const " + rpc.request.local + "&>(req)." + rpc.route_key + "()";
  out.line("    .route_key = [](const " + file.root + "google::protobuf::MessageLite& req) -> " +
           file.root + "std::string {");
  out.line("      return " +
           (rpc.route_key_is_string ? value : file.root + "std::to_string(" + value + ")") + ";");
  out.line("    },");
}

void emit_method_info(const FileModel& file, const ServiceModel& service, const RpcModel& rpc,
                      Writer& out) {
  const std::string m3 = file.root + "m3::";
  out.line("constinit const " + m3 + "MethodInfo " + service.service_class + "::" + rpc.constant +
           "{");
  out.line("    .full_name = " + quoted(rpc.full_name) + ",");
  out.line("    .hash = " + m3 + "method_hash(" + quoted(rpc.full_name) + "),");
  out.line("    .route = " + m3 + "RouteMode::" + std::string(route_mode_name(rpc.route)) + ",");
  if (rpc.notify) out.line("    .notify = true,");
  if (rpc.client) out.line("    .client = true,");
  if (rpc.trace) out.line("    .trace = true,");
  if (rpc.idempotent) out.line("    .idempotent = true,");
  if (rpc.sync) out.line("    .durability = " + m3 + "Durability::sync,");
  if (rpc.timeout_ms != 0) out.line("    .timeout_ms = " + std::to_string(rpc.timeout_ms) + ",");
  if (!rpc.route_key.empty()) emit_route_key(file, rpc, out);
  out.line("    .request = " + getter(file, rpc.request) + ",");
  if (!rpc.notify) out.line("    .response = " + getter(file, rpc.response) + ",");
  out.line("};");
  out.line();
}

// "m3::bind<HelloService, SayReq, SayRsp, &HelloService::say, &HelloService::say>(kSay),"
void emit_binding(const FileModel& file, const ServiceModel& service, const RpcModel& rpc,
                  Writer& out) {
  const std::string handler = ", &" + service.service_class + "::" + rpc.method;
  std::string head = "      " + file.root + (rpc.notify ? "m3::bind_notify<" : "m3::bind<");
  std::string rest = service.service_class + ", " + rpc.request.local;
  if (!rpc.notify) rest += ", " + rpc.response.local + handler;
  rest += handler + ">(" + rpc.constant + "),";
  if (!Writer::fits(head + rest)) head += "\n          ";
  out.line(head + rest);
}

void emit_bindings(const FileModel& file, const ServiceModel& service, Writer& out) {
  const std::string m3 = file.root + "m3::";
  out.line(file.root + "std::span<const " + m3 + "MethodBinding> " + service.service_class +
           "::bindings() const {");
  if (service.rpcs.empty()) {
    out.line("  return {};");
    out.line("}");
    return;
  }
  out.line("  static constexpr " + m3 + "MethodBinding table[] = {");
  for (const auto& rpc : service.rpcs) emit_binding(file, service, rpc, out);
  out.line("  };");
  out.line("  return table;");
  out.line("}");
}

void emit_default_handlers(const FileModel& file, const ServiceModel& service, const RpcModel& rpc,
                           Writer& out) {
  const std::string m3 = file.root + "m3::";
  const std::string ctx = m3 + "Ctx&";
  const std::string req = "const " + rpc.request.local + "&";
  const std::string result = rpc.notify ? "" : rpc.response.local;
  const std::string name = service.service_class + "::" + rpc.method;
  out.line();
  out.call(0, m3 + "Task<" + result + "> " + name, {ctx, req}, " {");
  out.call(2, "co_return " + m3 + "Status",
           {m3 + "Errc::unimplemented", quoted(rpc.full_name + " is not overridden")}, ";");
  out.line("}");
  if (rpc.notify) return;
  out.line();
  out.call(0, m3 + "Task<> " + name, {ctx, req, rpc.response.local + "&"}, " {");
  out.line("  return " + m3 + "Task<>();");
  out.line("}");
}

void emit_handler_declarations(const FileModel& file, const RpcModel& rpc, Writer& out) {
  const std::string m3 = file.root + "m3::";
  const std::string ctx = m3 + "Ctx& ctx";
  const std::string req = "const " + rpc.request.local + "& req";
  out.line();
  out.comment(2, rpc.comment);
  const std::string result = rpc.notify ? "" : rpc.response.local;
  out.call(2, "virtual " + m3 + "Task<" + result + "> " + rpc.method, {ctx, req}, ";");
  if (!rpc.notify) {
    out.call(2, "virtual " + m3 + "Task<> " + rpc.method, {ctx, req, rpc.response.local + "& rsp"},
             ";");
  }
}

/// A function of S that hides an rpc would never be called, and nobody would notice.
void emit_handler_check(const FileModel& file, const ServiceModel& service, const RpcModel& rpc,
                        Writer& out) {
  const std::string m3 = file.root + "m3::";
  const std::string result = rpc.notify ? "void" : rpc.response.local;
  const std::string task = rpc.notify ? "m3::Task<>" : "m3::Task<" + rpc.response.local + ">";
  out.line("    if constexpr (requires { &S::" + rpc.method + "; })");
  out.line("      static_assert(");
  out.line("          " + m3 + "is_handler<" + rpc.request.local + ", " + result +
           ">(&S::" + rpc.method + "),");
  out.line("          " +
           quoted(rpc.method + "() is not the handler of " + service.full_name + "'s rpc " +
                  rpc_name(rpc) + ", but hides it: write " + task + " " + rpc.method +
                  "(m3::Ctx&, const " + rpc.request.local + "&) override") +
           ");");
}

/// An inherited member's address has the type of the class that declares it.
void emit_not_overridden(const FileModel& file, const ServiceModel& service, Writer& out) {
  const std::string m3 = file.root + "m3::";
  out.line();
  out.line("  /// Names of the rpcs that S, which derives from this, has not overridden.");
  out.line("  template <class S>");
  out.line("  static " + file.root + "std::vector<" + file.root +
           "std::string_view> not_overridden() {");
  out.line("    " + file.root + "std::vector<" + file.root + "std::string_view> names;");
  for (const auto& rpc : service.rpcs) {
    std::string head = "    if constexpr (requires { " + m3 + "as_declared<" +
                       service.service_class + ">(&S::" + rpc.method + "); })";
    const std::string add = " names.push_back(" + quoted(rpc_name(rpc)) + ");";
    if (!Writer::fits(head + add)) head += "\n     ";
    out.line(head + add);
    emit_handler_check(file, service, rpc, out);
  }
  out.line("    return names;");
  out.line("  }");
}

}  // namespace

void emit_service_class(const FileModel& file, const ServiceModel& service, Writer& out) {
  const std::string m3 = file.root + "m3::";
  const std::string std_ns = file.root + "std::";
  out.line();
  out.comment(0, service.comment);
  if (!service.comment.empty()) out.line("///");
  out.line("/// The server of " + service.full_name +
           ": derive from it and override, per rpc, the overload that");
  out.line("/// returns its answer or the one that fills in a pooled message.");
  out.line("class " + service.service_class + " : public " + m3 + "Service {");
  out.line(" public:");
  out.line("  static constexpr " + std_ns +
           "string_view kPlacement = " + quoted(service.placement) + ";");
  for (const auto& rpc : service.rpcs) {
    out.line("  static const " + m3 + "MethodInfo " + rpc.constant + ";  // " + summary(rpc));
  }
  out.line();
  out.line("  " + std_ns + "string_view service_name() const final;");
  out.line("  " + std_ns + "span<const " + m3 + "MethodBinding> bindings() const final;");
  out.line("  " + std_ns + "string_view placement() const final { return kPlacement; }");
  for (const auto& rpc : service.rpcs) emit_handler_declarations(file, rpc, out);
  emit_not_overridden(file, service, out);
  out.line("};");
}

void emit_service_code(const FileModel& file, const ServiceModel& service, Writer& out) {
  out.line();
  for (const auto& rpc : service.rpcs) emit_method_info(file, service, rpc, out);
  out.line(file.root + "std::string_view " + service.service_class +
           "::service_name() const { return " + quoted(service.full_name) + "; }");
  out.line();
  emit_bindings(file, service, out);
  for (const auto& rpc : service.rpcs) emit_default_handlers(file, service, rpc, out);
}

}  // namespace m3::codegen_detail
