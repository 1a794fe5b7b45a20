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
constexpr std::string_view kEpochs = "gone: the entity's row says who owns it";

constexpr auto kOldKeys = std::to_array<OldKey>({
    {"transport.addr", "now listen = {} at the top of the file"},
    {"transport.host", kListen},
    {"transport.port", kListen},
    {"transport.broadtimeout", "now broadcast_timeout = \"{n}s\" at the top of the file"},
    {"transport.broadcasttimeout", "now broadcast_timeout = \"{n}s\" at the top of the file"},

    {"options.mesh.watcherintersecond", "gone: Consul pushes"},
    {"options.resource.cfgpath", "now [resource] path = {}"},
    {"options.shape.ruleconfigfile", "now [shape.rules] file = {}"},

    {"plugin.router.router_consul.consulhost", "now [router.consul] addresses = [{}]"},
    {"plugin.router.router_consul.alivehost", "gone: the app's health is checked where it listens"},
    {"plugin.router.router_consul.aliveport", "gone: the app's health is checked where it listens"},
    {"plugin.broker.broker_nats.natsurl", "now [broker.nats] servers = [{}]"},
    {"plugin.broker.broker_nats.url", "now [broker.nats] servers = [{}]"},
    {"plugin.trans.trans_http2.host", kListen},
    {"plugin.trans.trans_http2.port", kListen},
    {"plugin.trans.trans_tcp.host", kListen},
    {"plugin.trans.trans_tcp.port", kListen},
    {"plugin.trans.trans_nats.url",
     "gone: calls go directly between apps; topics go through [broker.nats] servers = [{}]"},

    {"plugin.db.db_cache", "now [database.memory]"},
    {"plugin.db.db_redis.host", "now [database.redis] addresses = [\"{text}:port\"]"},
    {"plugin.db.db_redis.port", "now [database.redis] addresses = [\"host:{n}\"]"},
    {"plugin.db.db_redis.auth", "now [database.redis] password = \"${REDIS_PASSWORD}\""},
    {"plugin.db.db_redis.maxidle", "gone: each core has one connection and pipelines"},
    {"plugin.db.db_redis.maxactive", "gone: each core has one connection and pipelines"},
    {"plugin.db.db_mongo.uri", "gone: use [database.redis] or [database.sqlite]"},
    {"plugin.db.db_mongo.database", "gone: use [database.redis] or [database.sqlite]"},

    {"plugin.lease.lease_etcd.endpoints", "now [lease.consul] or [lease.redis], with addresses"},
    {"plugin.lease.lease_etcd.dialtimeout", "gone: every dependency is retried with backoff"},
    {"plugin.lease.lease_etcd.leasekeeplivetime",
     "now ttl = \"{n}s\" in [lease.consul] or [lease.redis]"},
    {"plugin.lease.lease_etcd.preexittime",
     "gone: a holder stops acting before its lease can pass on"},

    {"plugin.log.log_zap.loglevel", "now log_level = \"{name}\" at the top of the file"},
    {"plugin.log.log_zap.encoding", "now [log.spdlog] format = \"{name}\""},
    {"plugin.log.log_zap.filename", "now [log.spdlog] file = {}"},
    {"plugin.log.log_zap.maxsize", "now [log.spdlog] max_size = \"{n}MB\""},
    {"plugin.log.log_zap.maxage", "now [log.spdlog] max_age = \"{n}d\""},
    {"plugin.log.log_zap.maxbackups", "now [log.spdlog] max_files = {}"},
    {"plugin.log.log_zap.localtime", "gone: times are UTC"},
    {"plugin.log.log_zap.compress", "gone: m3game read it and did nothing"},

    {"plugin.metric.metric_prom.host", "now [metric.prometheus] listen = \"{text}:port\""},
    {"plugin.metric.metric_prom.port", "now [metric.prometheus] listen = \"127.0.0.1:{n}\""},
    {"plugin.metric.metric_prom.consulhost", "gone: Prometheus finds the apps in Consul itself"},
    {"plugin.metric.metric_prom.consulsvc", "gone: Prometheus finds the apps in Consul itself"},
    {"plugin.metric.metric_prom.consulappprefix",
     "gone: Prometheus finds the apps in Consul itself"},
    {"plugin.shape.shape_sentinel", "now [shape.rules]"},
    {"plugin.shape.shape_sentinel.configfile", "gone: [shape.rules] needs only its rules"},
    {"plugin.trace.trace_stdout", "now [trace.stdout]"},
    {"plugin.trace.trace_jaeger", "now [trace.otlp]"},
    {"plugin.trace.trace_jaeger.host", "now [trace.otlp] endpoint = \"http://{text}:4318\""},
    {"plugin.gate.gate_grpc.addr", "now [gate.tcp] listen = {}, or [gate.websocket]"},
    {"plugin.gate.gate_grpc.port", "now [gate.tcp] listen = \"0.0.0.0:{n}\", or [gate.websocket]"},

    {"server.actor.activetimeout", "now [actor] idle_timeout = \"{n}s\""},
    {"server.actor.savetimeinter", "now [actor] save_interval = \"{n}s\""},
    {"server.actor.ticktimeinter", "now [actor] tick_interval = \"{n}ms\""},
    {"server.actor.maxreqchansize", "now [actor] max_queue = {}"},
    {"server.actor.maxreqwaittime", "now [actor] max_wait = \"{n}s\""},
    {"server.actor.autocreate", "gone: the actor's own code says whether it creates its row"},
    {"server.actor.leasemode", kEpochs},
    {"server.actor.leaseprefix", kEpochs},
    {"server.actor.allocleasetimeout", kEpochs},
    {"server.actor.waitfreeleasetimeout", kEpochs},
    {"server.actor.luafile", "gone: there are no scripts; write the rule in C++"},
    {"server.multi", "gone: main() chooses the model with serve<T>()"},
    {"server.mutil", "gone: main() chooses the model with serve<T>()"},
    {"server.async", "gone: main() chooses the model with serve<T>(m3::serial)"},

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
