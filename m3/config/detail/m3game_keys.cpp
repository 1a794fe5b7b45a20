// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/m3game_keys.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace m3::config_detail {
namespace {

/// In an answer: {} is the value as TOML writes it, {n} the bare number, {text} a string's text.
struct OldKey {
  std::string_view path;  // lower case
  std::string_view answer;
};

constexpr std::string_view kListen = "write listen = \"host:port\" at the top of the file";
constexpr std::string_view kNoTables = "gone: m3 has no game tables yet";
constexpr std::string_view kNoRules =
    "gone: m3 has no traffic rules yet; a plugin with an m3::Admission refuses calls";
constexpr std::string_view kOneConnection = "gone: each core has one connection and pipelines";
constexpr std::string_view kNoLease = "gone: m3 has no leases yet";
constexpr std::string_view kNoTrace = "gone: m3 has no trace exporters yet";
constexpr std::string_view kNoGate = "gone: m3 has no gates for game clients yet";
constexpr std::string_view kNoActor = "gone: m3 has no actors yet";
constexpr std::string_view kStderr =
    "gone: an app logs to stderr; whatever starts it writes that to files";
constexpr std::string_view kConsulCheck = "gone: the app's health is checked where it listens";
constexpr std::string_view kScrape = "gone: Prometheus finds the apps in Consul itself";
constexpr std::string_view kMulti = "gone: main() chooses with serve<T>()";

constexpr auto kOldKeys = std::to_array<OldKey>({
    {"transport.addr", "now listen = {} at the top of the file"},
    {"transport.host", kListen},
    {"transport.port", kListen},
    {"transport.broadtimeout", "now broadcast_timeout = \"{n}s\" at the top of the file"},
    {"transport.broadcasttimeout", "now broadcast_timeout = \"{n}s\" at the top of the file"},

    {"options.mesh.watcherintersecond", "gone: Consul pushes"},
    {"options.resource.cfgpath", kNoTables},
    {"options.shape.ruleconfigfile", kNoRules},

    {"plugin.router.router_consul.consulhost", "now [router.consul] addresses = [{}]"},
    {"plugin.router.router_consul.alivehost", kConsulCheck},
    {"plugin.router.router_consul.aliveport", kConsulCheck},
    {"plugin.broker.broker_nats.natsurl", "now [broker.nats] servers = [{}]"},
    {"plugin.broker.broker_nats.url", "now [broker.nats] servers = [{}]"},
    {"plugin.trans.trans_http2.host", kListen},
    {"plugin.trans.trans_http2.port", kListen},
    {"plugin.trans.trans_tcp.host", kListen},
    {"plugin.trans.trans_tcp.port", kListen},
    {"plugin.trans.trans_nats.url",
     "gone: calls go directly between apps; topics go through [broker.nats] servers = [{}]"},

    {"plugin.db.db_cache", "now [database.memory]"},
    {"plugin.db.db_redis.host", "now [database.redis] address = \"{text}:port\""},
    {"plugin.db.db_redis.port", "now [database.redis] address = \"host:{n}\""},
    {"plugin.db.db_redis.auth", "now [database.redis] password = \"${REDIS_PASSWORD}\""},
    {"plugin.db.db_redis.maxidle", kOneConnection},
    {"plugin.db.db_redis.maxactive", kOneConnection},
    {"plugin.db.db_mongo", "gone: m3 does not store there; use [database.redis]"},
    {"plugin.lease.lease_etcd", kNoLease},

    {"plugin.log.log_zap.loglevel", "now log_level = \"{name}\" at the top of the file"},
    {"plugin.log.log_zap.encoding", kStderr},
    {"plugin.log.log_zap.filename", kStderr},
    {"plugin.log.log_zap.maxsize", kStderr},
    {"plugin.log.log_zap.maxage", kStderr},
    {"plugin.log.log_zap.maxbackups", kStderr},
    {"plugin.log.log_zap.localtime", "gone: times are UTC"},
    {"plugin.log.log_zap.compress", "gone: m3game read it and did nothing"},

    {"plugin.metric.metric_prom.host", "now [admin] listen = \"{text}:port\", where /metrics is"},
    {"plugin.metric.metric_prom.port", "now [admin] listen = \"127.0.0.1:{n}\", where /metrics is"},
    {"plugin.metric.metric_prom.consulhost", kScrape},
    {"plugin.metric.metric_prom.consulsvc", kScrape},
    {"plugin.metric.metric_prom.consulappprefix", kScrape},
    {"plugin.shape.shape_sentinel", kNoRules},
    {"plugin.trace.trace_stdout", kNoTrace},
    {"plugin.trace.trace_jaeger", kNoTrace},
    {"plugin.gate.gate_grpc", kNoGate},

    {"server.actor", kNoActor},
    {"server.multi", kMulti},
    {"server.mutil", kMulti},
    {"server.async", "gone: main() chooses with serve<T>(m3::serial)"},

    {"app.preparetime", "gone: an app is announced when it is ready, and nothing sleeps"},
});

/// Sections that only m3game had: everything in them gets an answer.
constexpr std::array<std::string_view, 4> kOldRoots{"transport", "options", "plugin", "server"};

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

const OldKey* find_old(std::string_view path) {
  auto at = std::find_if(kOldKeys.begin(), kOldKeys.end(),
                         [&](const OldKey& old) { return old.path == path; });
  return at == kOldKeys.end() ? nullptr : &*at;
}

void replace_all(std::string& text, std::string_view mark, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += by.size())
    text.replace(at, mark.size(), by);
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string filled(std::string_view answer, const Value& value) {
  std::string out(answer);
  replace_all(out, "{n}",
              value.kind == Value::Kind::integer ? std::to_string(value.integer) : value.text);
  replace_all(out, "{name}", trimmed(lowered(value.text)));
  replace_all(out, "{text}", value.text);
  replace_all(out, "{}", to_toml(value));
  return out;
}

/// Answers the keys under `path`; returns how many. `all`: including unknown ones.
int answer_tree(const std::string& path, const Value& value, bool all, Decoder& decoder) {
  int answered = 0;
  if (value.kind == Value::Kind::array && !value.items.empty() &&
      value.items.front().kind == Value::Kind::table) {  // [[Plugin.Router.router_consul]]
    for (const Value& item : value.items) answered += answer_tree(path, item, all, decoder);
    return answered;
  }
  const OldKey* old = find_old(path);
  if (old || (all && value.kind != Value::Kind::table)) {
    decoder.error(value.line,
                  old ? filled(old->answer, value) : "m3game's key; m3 has nothing like it");
    ++answered;
  }
  for (std::size_t i = 0; i < value.names.size(); ++i) {
    Decoder at{decoder.file, decoder.errors, decoder.key + "." + toml_key(value.names[i])};
    answered += answer_tree(path + "." + lowered(value.names[i]), value.items[i], all && !old, at);
  }
  return answered;
}

}  // namespace

bool answer_m3game_key(const std::string& section, const std::string& name, const Value& value,
                       Decoder& decoder) {
  std::string path = lowered(section.empty() ? name : section + "." + name);
  std::string root = path.substr(0, path.find('.'));
  if (root == "app") {
    bool answered = answer_tree(path, value, false, decoder) > 0;
    return answered &&
           !section.empty();  // [App] itself is still an unknown section: it is [app] now
  }
  if (!section.empty() || std::find(kOldRoots.begin(), kOldRoots.end(), root) == kOldRoots.end())
    return false;
  if (answer_tree(path, value, true, decoder) == 0)
    decoder.error(value.line, "gone: m3game's section; remove it");
  return true;
}

}  // namespace m3::config_detail
