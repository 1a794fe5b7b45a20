// SPDX-License-Identifier: BSL-1.0
#include <string>

#include "m3/config/document.h"
#include "m3/testing/catch.h"
#include "read.h"

namespace {

struct Top {
  std::string listen;
  static void describe(m3::Schema<Top>& s) { s.add("listen", &Top::listen); }
};

struct Game {
  int round = 1;
  static void describe(m3::Schema<Game>& s) { s.add("round", &Game::round); }
};

std::string answers(std::string_view text) {
  m3::ErrorList errors;
  auto document = config_test::parse(text, errors);
  const std::vector<std::string_view> others{"app", "router", "broker"};
  CHECK_FALSE(document.root().decode<Top>(errors, others));
  return errors.to_string();
}

}  // namespace

TEST_CASE("config: the seed's file is answered key by key with what to write now") {
  CHECK(answers(R"([Transport]
Addr = "127.0.0.1:22105"	// 内部监听端口
BroadTimeOut = 5		// 广播处理超时

[Options]
[[Options.Mesh]]
WatcherInterSecond = 1		// 服务发现间隔

[Plugin]
[[Plugin.Router.router_consul]]
ConsulHost = "127.0.0.1:8500"	

[[Plugin.Broker.broker_nats]]
NatsURL = "127.0.0.1:4222"
)") == "a.toml:2: a comment begins with #, not with //\n"
       "a.toml:2: Transport.Addr: now listen = \"127.0.0.1:22105\" at the top of the file\n"
       "a.toml:3: a comment begins with #, not with //\n"
       "a.toml:3: Transport.BroadTimeOut: now broadcast_timeout = \"5s\" at the top of the file\n"
       "a.toml:7: a comment begins with #, not with //\n"
       "a.toml:7: Options.Mesh.WatcherInterSecond: gone: Consul pushes\n"
       "a.toml:11: Plugin.Router.router_consul.ConsulHost: now [router.consul] addresses = "
       "[\"127.0.0.1:8500\"]\n"
       "a.toml:14: Plugin.Broker.broker_nats.NatsURL: now [broker.nats] servers = "
       "[\"127.0.0.1:4222\"]\n");
}

TEST_CASE("config: m3game's keys are known in any case, and values are carried over") {
  CHECK(
      answers(
          "[server]\n[[server.actor]]\nactivetimeout = 60\nTICKTIMEINTER = 10\nAutoCreate = 1\n") ==
      "a.toml:2: server.actor: gone: m3 has no actors yet\n");
  CHECK(answers("[[Plugin.Log.log_zap]]\nLOGLEVEL = \"INFO \"\nMaxSize = 100\n") ==
        "a.toml:2: Plugin.Log.log_zap.LOGLEVEL: now log_level = \"info\" at the top of the file\n"
        "a.toml:3: Plugin.Log.log_zap.MaxSize: gone: an app logs to stderr; whatever starts it "
        "writes "
        "that to files\n");
  CHECK(answers("[[Plugin.Metric.metric_prom]]\nHost = \"10.0.0.1\"\nport = 9100\n") ==
        "a.toml:2: Plugin.Metric.metric_prom.Host: now [admin] listen = \"10.0.0.1:port\", where "
        "/metrics is\n"
        "a.toml:3: Plugin.Metric.metric_prom.port: now [admin] listen = \"127.0.0.1:9100\", where "
        "/metrics is\n");
  CHECK(answers("[[Plugin.DB.db_cache]]\nPass = \"1\"\n") ==
        "a.toml:1: Plugin.DB.db_cache: now [database.memory]\n");
}

TEST_CASE("config: nothing in m3game's sections is passed over") {
  CHECK(
      answers("[[Plugin.Router.router_consul]]\nConsulHost = \"x\"\ntag = \"default\"\n") ==
      "a.toml:2: Plugin.Router.router_consul.ConsulHost: now [router.consul] addresses = [\"x\"]\n"
      "a.toml:3: Plugin.Router.router_consul.tag: m3game's key; m3 has nothing like it\n");
  CHECK(answers("[Options]\n") == "a.toml:1: Options: gone: m3game's section; remove it\n");
  CHECK(answers("Transport = 5\n") ==
        "a.toml:1: Transport: m3game's key; m3 has nothing like it\n");
}

TEST_CASE("config: an app's own section is new, only the framework's old key in it is answered") {
  CHECK(answers("[App]\nPrePareTime = 5\n") ==
        "a.toml:1: App: unknown section (did you mean \"app\"?)\n"
        "a.toml:2: App.PrePareTime: gone: an app is announced when it is ready, and nothing "
        "sleeps\n");
  m3::ErrorList errors;
  auto document = config_test::parse("[app]\nPrePareTime = 5\nRound = 2\n", errors);
  CHECK_FALSE(document.section("app", errors).decode<Game>(errors));
  CHECK(
      errors.to_string() ==
      "a.toml:2: app.PrePareTime: gone: an app is announced when it is ready, and nothing sleeps\n"
      "a.toml:3: app.Round: unknown key (did you mean \"round\"?)\n");
}

TEST_CASE("config: a key that m3 declares is m3's, whatever m3game called so") {
  struct Mine {
    std::string transport;
    static void describe(m3::Schema<Mine>& s) { s.add("transport", &Mine::transport); }
  };
  CHECK(config_test::errors_of<Mine>("transport = \"tcp\"").empty());
}
