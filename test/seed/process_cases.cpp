// SPDX-License-Identifier: BSL-1.0
// The rows about an app as a program, with the real apps/simple.
#include <csignal>
#include <filesystem>

#include "embedded.h"
#include "m3/testing/catch.h"
#include "process.h"

using namespace seed;

namespace {

using m3::testing::contains;

/// Step 1 of the seed's walk-through.
constexpr std::string_view kSeedsProto = R"(// example/proto/simpleapp.proto
syntax = "proto3";

package proto;

import "options.proto";		// 框架文件

option go_package = "proto/pb";

// 定义SimpleSer服务
service SimpleSer {
    rpc HelloWorld(HelloWorld.Req) returns (HelloWorld.Rsp);	 // 定义接口
}

// 定义RPC
message HelloWorld {
    option (rpc_option).route_key = "";
    message Req {
        string Req = 1;
    }
    message Rsp {
        string Rsp = 1;
    }
}
)";

}  // namespace

TEST_CASE("S01: an app is told its id, and refuses one that is none or another program's") {
  const Finished three = run({simple_program(), "-idstr", "example.world1.simple"});
  CHECK(three.code == 2);
  CHECK(contains(three.output, "env.world.func.ins"));
  const Finished blank = run({simple_program(), "-idstr", "example.wor ld.simple.1"});
  CHECK(blank.code == 2);
  const Finished other = run({simple_program(), "-idstr", "example.world1.actor.1"});
  CHECK(other.code == 2);
  CHECK(contains(other.output, "has the func \"actor\", but this program is \"simple\""));
  const Finished none = run({simple_program()});
  CHECK(none.code == 2);
  CHECK(none.output.starts_with("id: this app has no id"));
}

TEST_CASE("S01: an id has four parts, each with its accessor") {
  auto id = m3::AppId::parse("example.world1.simple.1");
  REQUIRE(id.is_ok());
  CHECK(id->env() == "example");
  CHECK(id->world() == "world1");
  CHECK(id->func() == "simple");
  CHECK(id->ins() == "1");
  CHECK(id->service_id().to_string() == "example.world1.simple");
  CHECK_FALSE(m3::AppId::parse("example..simple.1").is_ok());
}

TEST_CASE("S03: the walk-through: the seed's proto, command line and answer") {
  // Step 1: the proto block is the seed's, letter by letter.
  const std::string proto = read_file(source("apps/simple/proto/simple.proto"));
  CHECK(proto.substr(proto.find('\n') + 1) == kSeedsProto);
  // Step 4: the configuration that is delivered, on a free port; the seed's own is answered (S38).
  std::string text = read_file(source("configs/simple.toml"));
  const std::size_t port = text.find("127.0.0.1:22105");
  REQUIRE(port != std::string::npos);
  text.replace(port, 15, "127.0.0.1:0");
  TempFile config(text);
  // Steps 2, 3 and 5: the app runs and answers.
  Process app({simple_program(), "-idstr", "example.world1.simple.1", "-conf", config.path()});
  REQUIRE(app.says("ready id=example.world1.simple.1"));
  const std::string said = app.output();
  const std::size_t at = said.find("address=") + 8;
  Embedded caller("caller", "example.world1.simple.1@" + said.substr(at, said.find(' ', at) - at));
  CHECK(caller.hello("Ann") == "HelloWorld , Ann");
  CHECK(caller.hello("王小明") == "HelloWorld , 王小明");
  app.signal(SIGTERM);
  CHECK(app.wait() == 0);
}

TEST_CASE("S38: every file in configs/ is good") {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source("configs"))) {
    if (entry.path().extension() != ".toml") continue;
    if (entry.path().parent_path().filename() == "local")
      continue;  // of clusters: cluster_cases.cpp
    const std::string name = entry.path().filename().string();
    const std::string program = name.starts_with("multi")   ? multi_program()
                                : name.starts_with("async") ? async_program()
                                                            : simple_program();
    const Finished checked = run({program, "--check-config", "--config", entry.path().string()});
    INFO(checked.output);
    CHECK(checked.code == 0);
    ++files;
  }
  CHECK(files >= 4);
}

TEST_CASE("S38: what is wrong in a file is told at once, with file and line, and ends with 2") {
  TempFile config("lissten = \"127.0.0.1:0\"\ndrain_wait = \"2x\"\n[rpc]\nmax_calls = 0\n");
  for (const char* mode : {"--check-config", "--print-config", "--id=example.world1.simple.1"}) {
    const Finished checked = run({simple_program(), mode, "--config", config.path()});
    CHECK(checked.code == 2);
    CHECK(contains(checked.output, config.path() + ":1: lissten"));
    CHECK(contains(checked.output, "did you mean \"listen\""));
    CHECK(contains(checked.output, config.path() + ":2: drain_wait"));
    CHECK(contains(checked.output, config.path() + ":4: rpc.max_calls"));
  }
}

TEST_CASE("S38: the seed's own file is answered with what to write now") {
  TempFile config(R"([Transport]
Addr = "127.0.0.1:22105"
BroadTimeOut = 5

[Options]
[[Options.Mesh]]
WatcherInterSecond = 1

[Plugin]
[[Plugin.Router.router_consul]]
ConsulHost = "127.0.0.1:8500"

[[Plugin.Broker.broker_nats]]
NatsURL = "127.0.0.1:4222"
)");
  const Finished checked =
      run({simple_program(), "-idstr", "example.world1.simple.1", "-conf", config.path()});
  CHECK(checked.code == 2);
  CHECK(contains(checked.output, ":2: Transport.Addr: now listen = \"127.0.0.1:22105\""));
  CHECK(contains(checked.output, ":7: "));
  CHECK(contains(checked.output, "gone: Consul pushes"));
  CHECK(contains(checked.output, ":11: "));
  CHECK(contains(checked.output, ":14: "));
}

TEST_CASE("S38: a signal reloads the file; a bad one changes nothing") {
  Simple app;
  Process& process = app.process();
  app.config().write(Simple::config_text("log_level = \"debug\"\n"));
  for (int signal : {SIGHUP, SIGUSR1}) {
    const std::size_t before = process.output().size();
    process.signal(signal);
    REQUIRE(process.says("reloaded", before));
    if (signal == SIGHUP) CHECK(process.says("log_level = \"debug\" (was \"info\")", before));
  }
  app.config().write("nonsense = 1\n");
  const std::size_t before = process.output().size();
  process.signal(SIGHUP);
  REQUIRE(process.says("the previous one stays in effect", before));
  CHECK(process.says(":1: nonsense", before));
  Embedded caller("caller", "example.world1.simple.1@" + app.address());
  CHECK(caller.hello("Ann") == "HelloWorld , Ann");
  process.signal(SIGINT);
  CHECK(process.wait() == 0);
}

TEST_CASE("S38: values come from the environment, and a secret is never shown") {
  ::setenv("M3_SEED_TOKEN", "s3cret-word", 1);
  TempFile config("id = \"example.world1.simple.7\"\n[rpc]\ntoken = \"${M3_SEED_TOKEN}\"\n");
  const Finished printed = run({simple_program(), "--print-config", "--config", config.path()});
  CHECK(printed.code == 0);
  CHECK(contains(printed.output, "token = \"***\""));
  CHECK_FALSE(contains(printed.output, "s3cret-word"));
  CHECK(contains(printed.output, "example.world1.simple.7"));
}

TEST_CASE("S09: a first TERM waits for the drain, a second one does not") {
  TempFile config("listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"10m\"\n");
  Process app({simple_program(), "-idstr", "example.world1.simple.1", "-conf", config.path()});
  REQUIRE(app.says("services=proto.SimpleSer"));
  app.signal(SIGTERM);
  REQUIRE(app.says("stopping"));
  CHECK_FALSE(contains(app.output(), "stopped"));
  app.signal(SIGTERM);
  CHECK(app.wait() == 0);
  CHECK(contains(app.output(), "stopped"));
}

TEST_CASE("S09: an address in use ends the program with 1 and says which") {
  Simple first;
  TempFile config("cores = 1\ndrain_wait = \"0s\"\nlisten = \"" + first.address() + "\"\n");
  const Finished second =
      run({simple_program(), "-idstr", "example.world1.simple.2", "-conf", config.path()});
  CHECK(second.code == 1);
  CHECK(contains(second.output, first.address()));
}
