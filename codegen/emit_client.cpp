// SPDX-License-Identifier: BSL-1.0
#include "codegen/emit_client.h"

namespace m3::codegen_detail {
namespace {

struct Parameters {
  std::string ctx, req, rsp, route;
};

Parameters parameters(const FileModel& file, const RpcModel& rpc) {
  const std::string m3 = file.root + "m3::";
  return {m3 + "Ctx& ctx", "const " + rpc.request.local + "& req", rpc.response.local + "& rsp",
          m3 + (rpc.notify ? "NotifyRoute route" : "Route route")};
}

/// The Task refers to the client and the messages until it has ended: the compiler warns when one
/// of them is a temporary that is gone by then.
void emit_declarations(const FileModel& file, const RpcModel& rpc, Writer& out) {
  const std::string m3 = file.root + "m3::";
  const Parameters p = parameters(file, rpc);
  const std::string kept = " M3_LIFETIMEBOUND";
  const std::string req = p.req + kept;
  const std::string route = p.route + " = {}";
  out.line();
  out.comment(2, rpc.comment);
  if (rpc.notify) {
    out.call(2, m3 + "Task<> " + rpc.method, {p.ctx, req, route}, kept + ";");
    return;
  }
  out.call(2, m3 + "Task<" + rpc.response.local + "> " + rpc.method, {p.ctx, req, route},
           kept + ";");
  out.call(2, m3 + "Task<> " + rpc.method, {p.ctx, req, p.rsp + kept, route}, kept + ";");
}

void emit_calls(const FileModel& file, const ServiceModel& service, const RpcModel& rpc,
                Writer& out) {
  const std::string m3 = file.root + "m3::";
  const Parameters p = parameters(file, rpc);
  const std::string name = service.client_class + "::" + rpc.method;
  const std::string info = service.service_class + "::" + rpc.constant;
  const std::string route = file.root + "std::move(route)";
  out.line();
  if (rpc.notify) {
    out.call(0, m3 + "Task<> " + name, {p.ctx, p.req, p.route}, " {");
    out.call(2, "return ClientBase::notify", {"ctx", info, "req", route}, ";");
    out.line("}");
    return;
  }
  out.call(0, m3 + "Task<" + rpc.response.local + "> " + name, {p.ctx, p.req, p.route}, " {");
  out.call(2, "return ClientBase::call<" + rpc.response.local + ">", {"ctx", info, "req", route},
           ";");
  out.line("}");
  out.line();
  out.call(0, m3 + "Task<> " + name, {p.ctx, p.req, p.rsp, p.route}, " {");
  out.call(2, "return ClientBase::call_into", {"ctx", info, "req", "rsp", route}, ";");
  out.line("}");
}

}  // namespace

void emit_client_class(const FileModel& file, const ServiceModel& service, Writer& out) {
  const std::string m3 = file.root + "m3::";
  out.line();
  out.line("/// Calls " + service.full_name +
           ". Without a route, a call goes as the .proto says; `host` outlives it.");
  out.line("class " + service.client_class + " : public " + m3 + "ClientBase {");
  out.line(" public:");
  out.line("  static constexpr " + file.root + "std::string_view kDefaultFunc = \"" +
           service.default_func + "\";");
  out.line();
  out.line("  template <class... Options>");
  out.call(2, "explicit " + service.client_class, {m3 + "Host& host", "Options... options"}, "");
  out.line("      : ClientBase(host, kDefaultFunc, " + file.root + "std::move(options)...) {}");
  for (const auto& rpc : service.rpcs) emit_declarations(file, rpc, out);
  out.line("};");
}

void emit_client_code(const FileModel& file, const ServiceModel& service, Writer& out) {
  for (const auto& rpc : service.rpcs) emit_calls(file, service, rpc, out);
}

void emit_rpc_traits(const FileModel& file, const ServiceModel& service, Writer& out) {
  const std::string scope = "::" + file.cpp_namespace + (file.cpp_namespace.empty() ? "" : "::");
  for (const auto& rpc : service.rpcs) {
    if (!rpc.owns_request) continue;
    out.line();
    out.line("template <>");
    out.line("struct m3::RpcTraits<" + rpc.request.qualified + "> {");
    out.line("  using Response = " + (rpc.notify ? "void" : rpc.response.qualified) + ";");
    out.line("  static constexpr std::string_view default_func = " + scope + service.client_class +
             "::kDefaultFunc;");
    out.line("  static const MethodInfo& info() { return " + scope + service.service_class +
             "::" + rpc.constant + "; }");
    out.line("};");
  }
}

}  // namespace m3::codegen_detail
