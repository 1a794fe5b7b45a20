// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/consul/consul_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace m3 {
namespace {

using nlohmann::json;
using Health = ConsulService::Health;

constexpr std::string_view kServiceMaintenance = "_service_maintenance:";
constexpr std::string_view kNodeMaintenance = "_node_maintenance";

/// A missing string reads as "", a value that is not a string as an error.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  std::string text(const char* key) {
    const json* value = find(key);
    if (!value) return {};
    if (const auto* found = value->get_ptr<const std::string*>()) return *found;
    return wrong(key, "not a string"), std::string();
  }
  std::uint16_t port(const char* key) {
    const json* value = find(key);
    if (!value) return 0;
    if (const auto* found = value->get_ptr<const std::uint64_t*>(); found && *found <= 0xffff)
      return static_cast<std::uint16_t>(*found);
    return wrong(key, "not a port"), std::uint16_t{0};
  }
  std::map<std::string, std::string> texts(const char* key) {
    std::map<std::string, std::string> out;
    const json* values = find(key);
    if (!values) return out;
    if (!values->is_object()) return wrong(key, "not an object"), out;
    for (const auto& [name, value] : values->items()) {
      const auto* found = value.get_ptr<const std::string*>();
      if (!found) return wrong(key, "not all values are strings"), out;
      out.emplace(name, *found);
    }
    return out;
  }
  const json& table(const char* key) {
    static const json kNone = json::object();
    const json* value = find(key);
    if (value && value->is_object()) return *value;
    return wrong(key, "missing"), kNone;
  }
  const std::string& error() const { return error_; }

 private:
  const json* find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  void wrong(const char* key, const char* what) {
    if (error_.empty()) error_ = std::string(key) + ": " + what;
  }

  const json& object_;
  std::string error_;
};

Health worse(Health a, Health b) { return std::max(a, b); }

/// An unknown status counts as critical.
Health health_of(std::string_view status) {
  if (status == "passing") return Health::passing;
  return status == "warning" ? Health::warning : Health::critical;
}

/// The error text; empty when there is none.
std::string read_checks(const json& entry, ConsulService& out) {
  const auto checks = entry.find("Checks");
  if (checks == entry.end() || checks->is_null()) return {};
  if (!checks->is_array()) return "Checks: not a list";
  for (const json& check : *checks) {
    if (!check.is_object()) return "Checks: an entry is not an object";
    Reader reader(check);
    const std::string id = reader.text("CheckID");
    const std::string status = reader.text("Status");
    if (!reader.error().empty()) return "Checks: " + reader.error();
    if (id.starts_with(kServiceMaintenance) || id == kNodeMaintenance)
      out.maintenance = true;
    else
      out.health = worse(out.health, health_of(status));
  }
  return {};
}

std::string read_health_entry(const json& entry, ConsulService& out) {
  if (!entry.is_object()) return "not an object";
  Reader whole(entry);
  Reader service(whole.table("Service"));
  Reader node(whole.table("Node"));
  if (!whole.error().empty()) return whole.error();
  out.id = service.text("ID");
  out.name = service.text("Service");
  out.host = service.text("Address");
  out.port = service.port("Port");
  out.meta = service.texts("Meta");
  out.node = node.text("Node");
  if (out.host.empty()) out.host = node.text("Address");
  for (const Reader* part : {&service, &node})
    if (!part->error().empty()) return part->error();
  return read_checks(entry, out);
}

/// Ids are from others, and are logged.
std::string title_of(const ConsulService& service, std::size_t position) {
  constexpr std::size_t kMost = 100;
  return service.id.empty() ? "entry " + std::to_string(position)
                            : "\"" + service.id.substr(0, kMost) + "\"";
}

Status no_json() { return Status(Errc::data_loss, "Consul's answer is not JSON"); }

std::string text_of(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  return std::to_string(ms.count()) + "ms";
}

constexpr std::string_view kBlanks = " \t\r\n";

/// Where the string that begins at `at` ends.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\';
  return at;
}

/// The size of the value at the start of `text`, if it is JSON.
std::size_t size_of_value(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    switch (text[at]) {
      case '"':
        at = end_of_string(text, at);
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (depth == 0) return at;
        if (--depth == 0) return at + 1;
        break;
      case ',':
        if (depth == 0) return at;
        break;
      default:
        break;
    }
  }
  return text.size();
}

}  // namespace

// ---- lists

ConsulEntries::ConsulEntries(std::string_view text) : rest_(text) {}

void ConsulEntries::skip_blanks() noexcept {
  rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
}

bool ConsulEntries::fail() {
  rest_ = {};
  status_ = Status(Errc::data_loss, "Consul's answer is not a list of services");
  return false;
}

bool ConsulEntries::next() {
  skip_blanks();
  if (first_ && rest_.starts_with("null")) {
    rest_.remove_prefix(4);
  } else if (!rest_.empty() && rest_.front() == (first_ ? '[' : ',')) {
    rest_.remove_prefix(1);
    skip_blanks();
    if (rest_.empty()) return fail();
    if (!first_ || rest_.front() != ']') return true;
    rest_.remove_prefix(1);
  } else if (!first_ && !rest_.empty() && rest_.front() == ']') {
    rest_.remove_prefix(1);
  } else {
    return fail();
  }
  skip_blanks();
  return rest_.empty() ? false : fail();
}

bool ConsulEntries::is_next(std::string_view entry) const noexcept {
  return rest_.starts_with(entry);
}

std::string_view ConsulEntries::take(std::size_t size) {
  const std::string_view out = rest_.substr(0, size);
  rest_.remove_prefix(out.size());
  first_ = false;
  return out;
}

std::string_view ConsulEntries::take() { return take(size_of_value(rest_)); }

Result<ConsulEntry> parse_consul_entry(std::string_view text) {
  const json entry = json::parse(text, nullptr, false);
  if (entry.is_discarded()) return no_json();
  ConsulEntry out;
  out.wrong = read_health_entry(entry, out.service);
  return out;
}

Result<ConsulServices> parse_consul_health(std::string_view text) {
  ConsulServices out;
  ConsulEntries entries(text);
  for (std::size_t i = 0; entries.next(); ++i) {
    auto entry = parse_consul_entry(entries.take());
    if (!entry.is_ok()) return std::move(entry).status();
    if (entry->wrong.empty())
      out.services.push_back(std::move(entry->service));
    else
      out.skipped.push_back(title_of(entry->service, i) + ": " + entry->wrong);
  }
  if (!entries.status().is_ok()) return entries.status();
  return out;
}

Result<ConsulService> parse_consul_service(std::string_view text) {
  const json whole = json::parse(text, nullptr, false);
  if (whole.is_discarded()) return no_json();
  if (!whole.is_object()) return Status(Errc::data_loss, "Consul's answer is not a service");
  Reader reader(whole);
  ConsulService out;
  out.id = reader.text("ID");
  out.name = reader.text("Service");
  out.host = reader.text("Address");
  out.port = reader.port("Port");
  out.meta = reader.texts("Meta");
  if (reader.error().empty()) return out;
  return Status(Errc::data_loss, "Consul's answer is not a service: " + reader.error());
}

Result<std::vector<std::string>> parse_consul_names(std::string_view text) {
  const json whole = json::parse(text, nullptr, false);
  if (whole.is_discarded()) return no_json();
  if (!whole.is_object())
    return Status(Errc::data_loss, "Consul's answer is not an object of services");
  std::vector<std::string> out;
  for (const auto& [name, tags] : whole.items()) out.push_back(name);
  return out;
}

std::string consul_registration_json(const ConsulRegistration& from) {
  json check = {{"CheckID", from.check.id},
                {"Name", from.check.name},
                {"Status", "passing"},
                {"DeregisterCriticalServiceAfter", text_of(from.check.deregister_after)}};
  if (from.check.http.empty()) {
    check["TTL"] = text_of(from.check.ttl);
  } else {
    check["HTTP"] = from.check.http;
    check["Method"] = "GET";
    check["Interval"] = text_of(from.check.interval);
    check["Timeout"] = text_of(from.check.timeout);
    check["FailuresBeforeCritical"] = from.check.failures_before_critical;
  }
  const json out = {{"ID", from.id},
                    {"Name", from.name},
                    {"Address", from.host},
                    {"Port", from.port},
                    {"Meta", from.meta},
                    {"EnableTagOverride", false},
                    {"Checks", json::array({std::move(check)})}};
  // An app's strings may not be UTF-8.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace m3
