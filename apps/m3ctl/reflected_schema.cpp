// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/reflected_schema.h"

#include <algorithm>
#include <utility>

#include "m3/base/near_names.h"
#include "m3/options.pb.h"
#include "options.pb.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;
using m3::admin::DescribedMethod;

struct FirstError final : google::protobuf::DescriptorPool::ErrorCollector {
  void AddError(const std::string& file, const std::string& element,
                const google::protobuf::Message*, ErrorLocation, const std::string& text) override {
    if (first.empty()) first = file + ": " + element + ": " + text;
  }
  std::string first;
};

/// "pkg.Service.Method" as well as "/pkg.Service/Method".
std::string plain(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  std::string out(name);
  for (char& c : out)
    if (c == '/') c = '.';
  return out;
}

bool ends_with_part(const std::string& full, const std::string& end) {
  if (full == end) return true;
  return full.size() > end.size() && full.ends_with(end) &&
         full[full.size() - end.size() - 1] == '.';
}

std::string last_part(const std::string& name) { return name.substr(name.find_last_of("./") + 1); }

Status ambiguous(std::string_view name, const std::vector<const DescribedMethod*>& found) {
  std::string text = "\"" + std::string(name) + "\" is ambiguous: it can be";
  for (const DescribedMethod* method : found) text += " " + method->name();
  return Status(Errc::invalid_argument, text + ": write one of them in full");
}

}  // namespace

Result<std::unique_ptr<ReflectedSchema>> ReflectedSchema::make(m3::admin::DescribeRsp described) {
  std::unique_ptr<ReflectedSchema> schema(new ReflectedSchema(std::move(described)));
  FirstError errors;
  for (const auto& file : schema->described_.files().file())
    if (schema->pool_.BuildFileCollectingErrors(file, &errors) == nullptr)
      return Status(Errc::internal, schema->described_.app_id() +
                                        " describes its methods wrongly: " + errors.first);
  return schema;
}

Result<const DescribedMethod*> ReflectedSchema::find(std::string_view name) const {
  const std::string wanted = plain(name);
  std::vector<const DescribedMethod*> found;
  std::vector<std::string> names;
  for (const auto& service : described_.services()) {
    for (const DescribedMethod& method : service.methods()) {
      const std::string full = plain(method.name());
      if (full == wanted) return &method;
      if (ends_with_part(full, wanted)) found.push_back(&method);
      names.push_back(method.name());
    }
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1) return ambiguous(name, found);
  std::string text = described_.app_id() + " serves no method \"" + std::string(name) + "\"";
  if (names.empty()) return Status(Errc::unimplemented, text + ": it serves no methods");
  // Compared in the written form: a mistyped method is near a method, not near a full name.
  const auto parts = std::count(wanted.begin(), wanted.end(), '.');
  std::string hint;
  for (const std::string& known : names) {
    std::string shown = last_part(known);
    if (parts > 0) shown = last_part(known.substr(0, known.rfind('/'))) + "/" + shown;
    const std::string_view one = parts > 1 ? std::string_view(known) : std::string_view(shown);
    if (!m3::near_names(name, std::span(&one, 1)).empty())
      hint += (hint.empty() ? "" : " or ") + known;
  }
  if (!hint.empty()) return Status(Errc::unimplemented, text + ", did you mean " + hint + "?");
  text += "; it serves";
  for (std::size_t i = 0; i < names.size() && i < 8; ++i) text += " " + names[i];
  if (names.size() > 8)
    text += " and " + std::to_string(names.size() - 8) + " more (m3ctl methods lists them)";
  return Status(Errc::unimplemented, text);
}

m3::MethodInfo ReflectedSchema::info(const DescribedMethod& method) {
  m3::MethodInfo info;
  info.full_name = method.name();
  info.hash = m3::method_hash(method.name());
  info.route = m3::route_mode_from_number(static_cast<std::uint32_t>(method.route()));
  info.notify = method.notify();
  info.client = method.client();
  info.idempotent = method.idempotent();
  info.timeout_ms = method.timeout_ms();
  return info;
}

std::unique_ptr<google::protobuf::Message> ReflectedSchema::message(const std::string& name) const {
  const auto* found = type(name);
  return std::unique_ptr<google::protobuf::Message>(found ? messages_.GetPrototype(found)->New()
                                                          : nullptr);
}

const google::protobuf::FieldDescriptor* ReflectedSchema::route_key(
    const DescribedMethod& method) const {
  const auto* request = type(method.request());
  if (request == nullptr) return nullptr;
  if (const auto* declared = pool_.FindMethodByName(plain(method.name()))) {
    const std::string& key = declared->options().GetExtension(m3::rpc).route_key();
    if (!key.empty()) return request->FindFieldByName(key);
  }
  const auto* holder = request->containing_type();  // the other spelling: message Say { option
                                                    // (rpc_option)…; message Req … }
  return holder ? request->FindFieldByName(holder->options().GetExtension(::rpc_option).route_key())
                : nullptr;
}

}  // namespace m3ctl
