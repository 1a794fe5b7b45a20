// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <array>

#include <cstdio>
#include <set>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"
#include "apps/m3ctl/reflected_schema.h"
#include "apps/m3ctl/session.h"

namespace m3ctl {
namespace {

using google::protobuf::Descriptor;
using m3::Status;
using m3::admin::DescribedMethod;

std::string flags_of(const DescribedMethod& method, const ReflectedSchema& schema) {
  std::string out(
      m3::route_mode_name(m3::route_mode_from_number(static_cast<std::uint32_t>(method.route()))));
  if (const auto* key = schema.route_key(method))
    out += (out == "hash" ? " by " : ", key ") + key->name();
  if (method.notify()) out += ", notify";
  if (method.client()) out += ", client";
  if (method.idempotent()) out += ", idempotent";
  if (method.timeout_ms()) out += fmt::format(", timeout {}ms", method.timeout_ms());
  return out;
}

m3::Result<std::string> list_json(const ReflectedSchema& schema) {
  const auto& described = schema.described();
  std::string out = fmt::format(R"({{"app":{},"version":{},"methods":[)",
                                json_string(described.app_id()), json_string(described.version()));
  bool first = true;
  for (const auto& service : described.services())
    for (const DescribedMethod& method : service.methods()) {
      auto shown = write_json(method, false);
      if (!shown.is_ok()) return shown;
      out += (first ? "" : ",") + *shown;
      first = false;
    }
  return out + "]}\n";
}

std::string list_text(const ReflectedSchema& schema) {
  std::vector<std::vector<std::string>> rows{{"METHOD", "REQUEST", "RESPONSE", "FLAGS"}};
  for (const auto& service : schema.described().services())
    for (const DescribedMethod& method : service.methods())
      rows.push_back({method.name(), method.request(), method.notify() ? "-" : method.response(),
                      flags_of(method, schema)});
  std::string head = schema.described().app_id();
  if (!schema.described().version().empty()) head += " " + schema.described().version();
  if (rows.size() == 1) return head + " serves no methods\n";
  return head + "\n\n" + table(rows);
}

/// The message in .proto syntax, and the messages it contains, each once.
void add_definition(const Descriptor& type, std::set<std::string>& seen, std::string& out) {
  if (!seen.insert(type.full_name()).second) return;
  if (type.file()->package() == "google.protobuf") return;
  out += "\n// " + type.full_name() + "\n" + type.DebugString();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto* field = type.field(i);
    if (field->message_type()) add_definition(*field->message_type(), seen, out);
    if (field->enum_type() && seen.insert(field->enum_type()->full_name()).second)
      out += "\n// " + field->enum_type()->full_name() + "\n" + field->enum_type()->DebugString();
  }
}

std::string one_text(const ReflectedSchema& schema, const DescribedMethod& method,
                     const Options& options) {
  std::string out = method.name() + "  (" + flags_of(method, schema) + ")\n";
  std::set<std::string> seen;
  const Descriptor* request = schema.type(method.request());
  if (request) add_definition(*request, seen, out);
  const Descriptor* response = method.notify() ? nullptr : schema.type(method.response());
  if (response) add_definition(*response, seen, out);
  if (!request) return out;
  out += "\nm3ctl call " + options.words[0];
  if (!options.config.empty()) out += " --config " + options.config;
  if (!options.cluster.empty()) out += " --cluster " + options.cluster;
  const std::string& name = method.name();
  const std::size_t service = name.rfind('.') == std::string::npos ? 1 : name.rfind('.') + 1;
  return out + " " + name.substr(service) + " '" + example_json(*request) + "'\n";
}

m3::Result<std::string> page(const ReflectedSchema& schema, const Options& options) {
  if (options.words.size() == 1) {
    if (options.json) return list_json(schema);
    return list_text(schema);
  }
  auto method = schema.find(options.words[1]);
  if (!method.is_ok()) return std::move(method).status();
  if (!options.json) return one_text(schema, **method, options);
  auto shown = write_json(**method, false);
  if (shown.is_ok()) *shown += "\n";
  return shown;
}

Status run(const Options& options) {
  auto opened = Session::open(options.words[0], options);
  if (!opened.is_ok()) return std::move(opened).status();
  Session& session = **opened;
  auto described = session.describe(session.route({}), false, options.deadline);
  if (!described.is_ok()) return std::move(described).status();
  auto schema = ReflectedSchema::make(*std::move(described));
  if (!schema.is_ok()) return std::move(schema).status();
  auto out = page(**schema, options);
  if (!out.is_ok()) return std::move(out).status();
  std::fputs(out->c_str(), stdout);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl methods 127.0.0.1:20051                    a table of all methods
  m3ctl methods 127.0.0.1:20051 HelloWorld         its messages, and a call to copy

Flags: the default route and its key; notify = no answer; client = game clients may call it;
idempotent = may be retried; the method's own timeout.
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

}  // namespace

const Command kMethods{
    .name = "methods",
    .usage = "methods TARGET [METHOD]",
    .line = "lists the methods of an app",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 2,
    .run = &run,
};

}  // namespace m3ctl
