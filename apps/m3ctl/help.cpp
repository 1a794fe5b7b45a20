// SPDX-License-Identifier: BSL-1.0
#include <cstdio>

#include "apps/m3ctl/commands.h"
#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

constexpr std::string_view kTargets = R"(
TARGET is one of
  127.0.0.1:20051       an address: whoever answers there (":20051" is this machine)
  dev.world1.hello.1    an app, and
  dev.world1.hello      all instances of a service. They are found as apps find each other:
    --config FILE       by the [router.NAME] of an app's own configuration file, with its token
    --cluster NAME      by that of a cluster which m3ctl up runs here; also its file
                        Without both: the only cluster that runs here
)";

constexpr std::string_view kExitCodes = R"(
EXIT CODES are what a script may do next
  0  done
  2  fix the call       invalid_argument failed_precondition unimplemented unauthenticated permission_denied
  3  look at the state  not_found already_exists aborted moved
  4  try elsewhere      unavailable
  5  try later          resource_exhausted
  6  give up            deadline_exceeded cancelled internal data_loss unknown
)";

constexpr std::string_view kCall = R"(
  m3ctl call 127.0.0.1:20051 SimpleSer/HelloWorld '{"Req": "x"}'
  m3ctl call :20051 HelloWorld '{"Req": "x"}'                   any end of the name that only one method has
  echo '{"Req": "x"}' | m3ctl call :20051 HelloWorld -          JSON from stdin; without any: {}
  m3ctl call local.world1.simple HelloWorld --route hash:ann              of the cluster that m3ctl up runs here
  m3ctl call dev.world1.simple HelloWorld --config configs/simple.toml --route single
  m3ctl call :20051 HelloWorld --meta lane=blue --deadline 500ms -v

  --route R       random, hash:KEY, single (the least instance), p2p:ID; for a notify also all.
                  Default: as the .proto says; an address or an app's id is itself the route
  --deadline T    the answer must be here by then (5s)
  --meta K=V      metadata of the call; may stand several times
  --token T       the cluster's credential; else $M3_TOKEN, else the one in --config
  -v, --verbose   who answered, how long it took, the answer's metadata (on stderr)
  --json          one line for programs: {"ok":…, "response":… or "error":…, "metadata":…, "took_us":…}

The answer is JSON on stdout, an error is text on stderr. The app describes its messages: no .proto is needed.
)";

constexpr std::string_view kMethods = R"(
  m3ctl methods 127.0.0.1:20051                    a table of all methods
  m3ctl methods 127.0.0.1:20051 HelloWorld         its messages, and a call to copy

Flags: the route when the caller says none and its key; notify = no answer; client = game clients may call it;
idempotent = may be sent again; the method's own timeout. --json for programs; --deadline, --token as for call.
)";

constexpr std::string_view kPing = R"(
  m3ctl ping 127.0.0.1:20051                       five round trips through the whole stack
  m3ctl ping dev.world1.simple --config configs/simple.toml -n 100       every instance of the service

CONNECT is the first: TCP, the hello and one round trip. The exit code is 4 when one does not answer, so
  until m3ctl ping :20051 -n 1 >/dev/null 2>&1; do sleep 0.1; done       waits for an app to be ready
)";

constexpr std::string_view kNew = R"(
  m3ctl new app shop               writes shop/: a .proto, its handler, a client, a test, a configuration, a build
  m3ctl new app shop --dir ~/src

It builds against the installed m3 with meson and answers; shop/README.md has the commands.
)";

constexpr std::string_view kUp = R"(
  m3ctl up configs/local/cluster.toml              starts the apps of the file and shows them; Ctrl-C stops all in order
  m3ctl up configs/local/cluster.toml --logs       their logs instead of the table
  m3ctl up configs/local/cluster.toml --check      says what is wrong with the file and the apps' configurations
  m3ctl up --reference                             every key of the file

consul, redis-server and nats-server are started where an app needs them. What dies is started again, ever more slowly.
A second Ctrl-C kills what still runs; so does the end of m3ctl itself, whatever its reason.

  --for T           stops by itself after that long (90 or 90s); an error when not all are ready then
  --ready-file F    JSON with every instance's id, pid, addresses and log, written once all are ready
  --state F         where m3ctl ps and others find the same, always up to date; default: ~/.cache/m3/run/NAME.json
)";

constexpr std::string_view kPs = R"(
  m3ctl ps                                         every cluster that m3ctl up runs here
  m3ctl ps configs/local/cluster.toml              one of them; also by its name, or its state file
  m3ctl ps --json | jq -r '.instances[].log'       for programs

The exit code is 3 when it does not run. m3ctl routes shows what the instances know of each other.
)";

constexpr std::string_view kDown = R"(
  m3ctl down                                       ends the only cluster that m3ctl up runs here, as Ctrl-C would
  m3ctl down configs/local/cluster.toml            this one; also by its name, or its state file

Returns when everything has stopped. A second one, meanwhile, kills what still runs.
)";

constexpr std::string_view kRoutes = R"(
  m3ctl routes                                     all instances that the cluster which runs here knows of
  m3ctl routes local.world1.multi                  those of a service, or one by its id
  m3ctl routes --config configs/my.toml            as the app of that file finds others

STATE     what the instance said of itself: serving, cordoned (only calls that name it), draining (no new calls)
ANSWERS   whether it can be reached now; "another start": not the process that is listed, it has been started again
UPTIME    since when it runs      WEIGHT   its share of random calls      VERSION   its own word

The exit code is 3 when nobody is known, 4 when the router does not know the id, 2 when a list in a file does not.
)";

constexpr std::string_view kDrain = R"(
  m3ctl drain local.world1.multi.2                 no new calls; its callers go elsewhere; what runs goes on
  m3ctl uncordon local.world1.multi.2              takes calls again

It stays up: stop it when m3ctl routes says draining and its work is done. A P2P call still reaches it.
)";

constexpr std::string_view kCordon = R"(
  m3ctl cordon local.world1.multi.2                no new calls but those that name it (P2P)
  m3ctl uncordon local.world1.multi.2              takes calls again

Needs a router that tells others (consul): with a list in a file nobody would hear of it, and drain is the way.
)";

constexpr std::string_view kUncordon = R"(
  m3ctl uncordon local.world1.multi.2              a drained or cordoned instance takes calls again
)";

constexpr std::string_view kHelp = R"(
  m3ctl help call
)";

void print_overview() {
  std::puts("m3ctl talks to m3 apps\n");
  for (const Command& command : commands()) {
    std::printf("  m3ctl %s\n        %s\n", std::string(command.usage).c_str(),
                std::string(command.line).c_str());
  }
  std::printf("%s%s\nm3ctl help COMMAND shows examples.\n", std::string(kTargets).c_str(),
              std::string(kExitCodes).c_str());
}

m3::Status run_help(const Options& options) {
  return print_help(options.words.empty() ? "" : options.words[0]);
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> all{
      {"call",
       "call TARGET METHOD ['{json}' | -]",
       "calls a method and prints the answer",
       kCall,
       {"config", "cluster", "token", "meta", "deadline", "route", "json", "verbose"},
       2,
       3,
       &run_call},
      {"methods",
       "methods TARGET [METHOD]",
       "what an app can be asked",
       kMethods,
       {"config", "cluster", "token", "deadline", "json"},
       1,
       2,
       &run_methods},
      {"ping",
       "ping TARGET [-n N]",
       "whether it answers, and how fast",
       kPing,
       {"config", "cluster", "token", "deadline", "count", "json"},
       1,
       1,
       &run_ping},
      {"new",
       "new app NAME [--dir D]",
       "writes a small app that builds and answers",
       kNew,
       {"dir"},
       1,
       2,
       &run_new},
      {"up",
       "up CLUSTER.toml [--logs | --check]",
       "runs the apps of a cluster on this machine",
       kUp,
       {"check", "reference", "logs", "for", "ready-file", "state"},
       0,
       1,
       &run_up},
      {"ps",
       "ps [CLUSTER]",
       "the processes of clusters that run here",
       kPs,
       {"json"},
       0,
       1,
       &run_ps},
      {"down", "down [CLUSTER]", "ends a cluster that runs here", kDown, {}, 0, 1, &run_down},
      {"routes",
       "routes [TARGET]",
       "which instances are known, and whether they answer",
       kRoutes,
       {"config", "cluster", "token", "deadline", "json"},
       0,
       1,
       &run_routes},
      {"drain",
       "drain TARGET",
       "sends an instance's callers elsewhere",
       kDrain,
       {"config", "cluster", "token", "deadline"},
       1,
       1,
       &run_drain},
      {"cordon",
       "cordon TARGET",
       "keeps calls that name nobody from an instance",
       kCordon,
       {"config", "cluster", "token", "deadline"},
       1,
       1,
       &run_cordon},
      {"uncordon",
       "uncordon TARGET",
       "lets a drained or cordoned instance take calls again",
       kUncordon,
       {"config", "cluster", "token", "deadline"},
       1,
       1,
       &run_uncordon},
      {"help", "help [COMMAND]", "this page, or a command's", kHelp, {}, 0, 1, &run_help},
  };
  return all;
}

m3::Status print_help(std::string_view name) {
  if (name.empty()) return print_overview(), m3::ok;
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    names.push_back(command.name);
    if (command.name != name) continue;
    std::printf("m3ctl %s\n%s.\n%s", std::string(command.usage).c_str(),
                std::string(command.line).c_str(), std::string(command.help).c_str());
    if (command.usage.find("TARGET") != std::string_view::npos)
      std::fputs(std::string(kTargets).c_str(), stdout);
    if (name == "call") std::fputs(std::string(kExitCodes).c_str(), stdout);
    return m3::ok;
  }
  std::string text = "there is no command \"" + std::string(name) + "\"";
  if (const std::string hint = m3::did_you_mean(name, names); !hint.empty()) text += ", " + hint;
  return m3::Status(m3::Errc::invalid_argument, text + "; m3ctl help lists them");
}

}  // namespace m3ctl
