// SPDX-License-Identifier: BSL-1.0
#include "options.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string_view>

namespace bench {
namespace {

[[noreturn]] void refuse(const char* program, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program, what.c_str());
  std::exit(2);
}

using Readers = std::map<std::string_view, std::function<bool(const char*)>>;

auto integer(int& place, int least) {
  return [&place, least](const char* text) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < least || value > 1'000'000'000) return false;
    place = static_cast<int>(value);
    return true;
  };
}

auto seconds(double& place) {
  return [&place](const char* text) {
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= 0) || value > 600) return false;
    place = value;
    return true;
  };
}

auto string(std::string& place) {
  return [&place](const char* text) {
    place = text;
    return true;
  };
}

void parse(int argc, char** argv, const Readers& readers) {
  for (int i = 1; i < argc; i += 2) {
    std::string_view name = argv[i];
    name.remove_prefix(name.starts_with("--") ? 2 : 0);
    const auto found = readers.find(name);
    if (found == readers.end()) {
      std::string known;
      for (const auto& [option, reader] : readers) known.append(" --").append(option);
      refuse(argv[0], "unknown option " + std::string(argv[i]) + "; known are:" + known);
    }
    if (i + 1 == argc) refuse(argv[0], std::string(argv[i]) + " needs a value");
    if (!found->second(argv[i + 1]))
      refuse(argv[0], std::string(argv[i]) + ": " + argv[i + 1] + " is not a value it can take");
  }
}

}  // namespace

void end_with_parent(unsigned limit_seconds) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(limit_seconds);
}

ClientOptions parse_client(int argc, char** argv) {
  ClientOptions options;
  int count_syscalls = 0;
  parse(argc, argv,
        {{"port", integer(options.port, 1)},
         {"connections", integer(options.connections, 1)},
         {"outstanding", integer(options.outstanding, 1)},
         {"payload", integer(options.payload_bytes, 0)},
         {"seconds", seconds(options.seconds)},
         {"warmup", seconds(options.warmup_seconds)},
         {"server-pid", integer(options.server_pid, 1)},
         {"server-page", string(options.server_page)},
         {"count-syscalls", integer(count_syscalls, 0)},
         {"ports", string(options.ports)},
         {"route", string(options.route)}});
  if (options.port == 0) refuse(argv[0], "--port is needed: the server's ready line says it");
  options.count_syscalls = count_syscalls != 0;
  end_with_parent(static_cast<unsigned>(options.seconds + options.warmup_seconds) + 30);
  return options;
}

ServerOptions parse_server(int argc, char** argv) {
  ServerOptions options;
  parse(argc, argv,
        {{"port", integer(options.port, 0)},
         {"lifetime", integer(options.lifetime_seconds, 1)},
         {"handler", string(options.handler)},
         {"instances", integer(options.instances, 1)}});
  end_with_parent(static_cast<unsigned>(options.lifetime_seconds));
  return options;
}

void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
