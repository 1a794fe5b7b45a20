// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <unistd.h>
#include <array>

#include <cstdio>
#include <iostream>
#include <iterator>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"
#include "apps/m3ctl/reflected_schema.h"
#include "apps/m3ctl/session.h"

namespace m3ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using m3::Errc;
using m3::Result;
using m3::Status;

std::string body_of(const Options& options) {
  if (options.words.size() < 3) return "{}";
  if (options.words[2] != "-") return options.words[2];
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  return text.find_first_not_of(" \t\r\n") == std::string::npos ? "{}" : text;
}

/// The text of a hash key, as in generated code.
std::string key_text(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, &field);
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection->GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection->GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection->GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection->GetUInt64(message, &field));
    default:
      return "";
  }
}

/// The route of the call: from the options; else the one app that was named; else as the .proto
/// says.
Result<m3::NotifyRoute> route_of(const Session& session, const ReflectedSchema& schema,
                                 const m3::admin::DescribedMethod& method, const Message& request,
                                 const Options& options) {
  m3::NotifyRoute route = session.route(options.route);
  const bool many = route.mode() == m3::RouteMode::broadcast;
  if (many && !method.notify())
    return Status(Errc::invalid_argument,
                  "--route all is for a notify, but " + method.name() + " has a response");
  if (route.mode() != m3::RouteMode::none) return route;
  const auto needs = [&](const std::string& what) {
    return Status(Errc::invalid_argument, method.name() + " " + what);
  };
  const std::string one = "--route p2p:" + key_of(session.members().front());
  switch (method.route()) {
    case m3::wire::ROUTE_HASH:
      break;
    case m3::wire::ROUTE_P2P:
      return needs("is sent to the app that its caller names: add --route p2p:ID, like " + one);
    case m3::wire::ROUTE_ACTOR:
      return needs(
          "is sent to the owner of an actor, which m3ctl cannot find: name an instance, like " +
          one);
    case m3::wire::ROUTE_MULTICAST:
      return needs(
          "is sent to the subscribers of a topic, which m3ctl cannot find: add --route all, or "
          "name an instance, like " +
          one);
    case m3::wire::ROUTE_BROADCAST:
      return m3::NotifyRoute(m3::to::all());
    default:
      return route;
  }
  const FieldDescriptor* key = schema.route_key(method);
  if (key == nullptr)
    return Status(Errc::invalid_argument,
                  method.name() + " is routed by hash and has no key: add --route hash:KEY");
  return m3::NotifyRoute(m3::to::hash(key_text(request, *key)));
}

void print_json(const Outcome& outcome, const std::string& response) {
  std::string out = fmt::format(R"({{"ok":{})", outcome.status.is_ok());
  if (!outcome.status.is_ok())
    out += R"(,"error":)" + error_json(outcome.status);
  else if (!response.empty())
    out += R"(,"response":)" + response;
  out += R"(,"metadata":[)";
  for (std::size_t i = 0; i < outcome.reply.entries.size(); ++i) {
    const auto& [key, value] = outcome.reply.entries[i];
    out += fmt::format(R"({}{{"key":{},"value":{}}})", i ? "," : "", json_string(key),
                       json_string(value));
  }
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(outcome.took).count();
  out += fmt::format(R"(],"address":{},"took_us":{}}})", json_string(outcome.address), micros);
  std::printf("%s\n", out.c_str());
}

void print_plain(const Outcome& outcome, const std::string& response, bool verbose) {
  if (!response.empty()) std::printf("%s\n", response.c_str());
  std::fflush(stdout);
  if (!verbose) return;
  const char* what = !outcome.status.is_ok() ? "failed" : !response.empty() ? "answered" : "read";
  std::fprintf(stderr, "%s by %s in %s\n", what,
               outcome.address.empty() ? "nobody" : outcome.address.c_str(),
               show_time(outcome.took).c_str());
  for (const auto& [key, value] : outcome.reply.entries)
    std::fprintf(stderr, "  %s: %s\n", key.c_str(), value.c_str());
}

/// Makes the call; a user error, before anything was sent, is an error of the Result.
Result<Outcome> make_call(const Options& options, std::unique_ptr<ReflectedSchema>& schema,
                          std::unique_ptr<Message>& response) {
  auto opened = Session::open(options.words[0], options);
  if (!opened.is_ok()) return std::move(opened).status();
  Session& session = **opened;
  const Target& target = session.target();
  if (options.route.mode() != m3::RouteMode::none && target.is_address())
    return Status(Errc::invalid_argument,
                  "--route chooses among the instances of a service, but " + target.text +
                      " is one address: name a service, and --config FILE with its instances");
  auto described =
      session.describe(session.route(options.route), false,
                       std::max(options.deadline, m3::Duration(std::chrono::seconds(2))));
  if (!described.is_ok()) return std::move(described).status();
  auto made = ReflectedSchema::make(*std::move(described));
  if (!made.is_ok()) return std::move(made).status();
  schema = *std::move(made);
  auto found = schema->find(options.words[1]);
  if (!found.is_ok()) return std::move(found).status();
  const m3::admin::DescribedMethod& method = **found;
  auto request = schema->message(method.request());
  response = method.notify() ? nullptr : schema->message(method.response());
  if (!request || (!response && !method.notify()))
    return Status(Errc::internal, schema->described().app_id() +
                                      " does not describe the messages of " + method.name());
  if (Status status = read_json(body_of(options), *request); !status) return status;
  auto route = route_of(session, *schema, method, *request, options);
  if (!route.is_ok()) return std::move(route).status();
  m3::MethodInfo info = ReflectedSchema::info(method);
  info.timeout_ms = 0;  // --deadline says it
  if (method.notify()) return session.notify(info, *request, *route, options);
  return session.call(info, *request, *response, *route, options);
}

Status run(const Options& options) {
  std::unique_ptr<ReflectedSchema> schema;  // outlives the response
  std::unique_ptr<Message> response;
  auto made = make_call(options, schema, response);
  Outcome outcome;
  if (made.is_ok())
    outcome = *std::move(made);
  else
    outcome.status = std::move(made).status();
  std::string shown;  // empty: a notify, or an error
  if (outcome.status.is_ok() && response) {
    auto text = write_json(*response, !options.json);
    if (text.is_ok())
      shown = *std::move(text);
    else
      outcome.status = std::move(text).status().add_context("the call was answered");
  }
  if (options.json)
    print_json(outcome, shown);
  else
    print_plain(outcome, shown, options.verbose);
  return std::move(outcome.status);
}

constexpr std::string_view kText = R"(
  m3ctl call 127.0.0.1:20051 SimpleSer/HelloWorld '{"Req": "x"}'
  m3ctl call :20051 HelloWorld '{"Req": "x"}'                   any unambiguous end of the method's name
  echo '{"Req": "x"}' | m3ctl call :20051 HelloWorld -          JSON from stdin; empty input: {}
  m3ctl call local.world1.simple HelloWorld --route hash:ann              of the cluster that m3ctl up runs here
  m3ctl call dev.world1.simple HelloWorld --config configs/simple.toml --route single
  m3ctl call :20051 HelloWorld --meta lane=blue --deadline 500ms -v

The answer is JSON on stdout, an error is text on stderr. With --json both are one line on stdout:
{"ok":…, "response":… or "error":…, "metadata":…, "address":…, "took_us":…}. The app describes its messages: no .proto is needed.
)";

constexpr auto kOptions = std::to_array<std::string_view>(
    {"config", "cluster", "token", "meta", "deadline", "route", "json", "verbose"});

}  // namespace

const Command kCall{
    .name = "call",
    .usage = "call TARGET METHOD ['{json}' | -]",
    .line = "calls a method and prints the answer",
    .help = kText,
    .options = kOptions,
    .least_words = 2,
    .most_words = 3,
    .tells_errors = true,
    .run = &run,
};

}  // namespace m3ctl
