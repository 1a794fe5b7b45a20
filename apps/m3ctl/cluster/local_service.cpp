// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/local_service.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "apps/m3ctl/cluster/process.h"
#include "apps/m3ctl/cluster/run_folder.h"

namespace m3ctl {
namespace {

namespace fs = std::filesystem;
using m3::Errc;
using m3::Result;
using m3::Status;

constexpr const char* kHost = "127.0.0.1";
constexpr std::string_view kPong = "+PONG";
constexpr std::string_view kInfo = "INFO ";

std::string find_consul() {
  if (const char* told = std::getenv("M3_CONSUL")) return is_executable(told) ? told : "";
  if (std::string found = find_in_path("consul"); !found.empty()) return found;
  const std::string cached = cache_folder() + "/consul";
  for (const char* inside : {"", "/consul", "/usr/bin/consul"})
    if (is_executable(cached + inside)) return cached + inside;
  return "";
}

/// A free port, or the one that the file asks for.
Result<std::uint16_t> choose(std::uint16_t wanted, PortFinder& ports) {
  if (wanted == 0) return ports.next();
  ports.take(wanted);
  return wanted;
}

Result<std::string> data_folder(Service service, const ClusterFile& file, bool keep,
                                const std::string& folder) {
  const fs::path out =
      (keep ? fs::path(cache_folder()) / "data" / file.name : fs::path(folder) / "data") /
      std::string(name_of(service));
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return Status(Errc::failed_precondition, "cannot make " + out.string());
  return out.string();
}

Result<ClusterEntry> plan_consul(const ClusterFile& file, const std::string& folder,
                                 PortFinder& ports) {
  const ClusterFile::Consul& config = file.services.consul;
  auto data = data_folder(Service::consul, file, config.keep_data, folder);
  if (!data.is_ok()) return std::move(data).status();
  std::array<std::uint16_t, 3> numbers{};  // HTTP, server, gossip
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    auto port = choose(
        config.port == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(config.port + i), ports);
    if (!port.is_ok()) return std::move(port).status();
    numbers[i] = *port;
  }
  ClusterEntry out;
  out.address = {kHost, numbers[0]};
  out.argv = {find_consul(),
              "agent",
              "-node=m3",
              "-bind=127.0.0.1",
              "-client=127.0.0.1",
              fmt::format("-http-port={}", numbers[0]),
              "-dns-port=-1",
              "-grpc-port=-1",
              fmt::format("-server-port={}", numbers[1]),
              fmt::format("-serf-lan-port={}", numbers[2]),
              "-serf-wan-port=-1",
              "-log-level=warn"};
  if (config.keep_data)
    out.argv.insert(out.argv.end(), {"-server", "-bootstrap-expect=1", "-data-dir=" + *data});
  else
    out.argv.emplace_back("-dev");
  out.ready = http_get(out.address, "/v1/status/leader");
  out.is_ready = [](const Answer& answer) {
    return is_http_ok(answer.text) && answer.text.find("\"127.0.0.1:") != std::string::npos;
  };
  return out;
}

Result<ClusterEntry> plan_redis(const ClusterFile& file, const std::string& folder,
                                PortFinder& ports) {
  const ClusterFile::Store& config = file.services.redis;
  auto data = data_folder(Service::redis, file, config.keep_data, folder);
  if (!data.is_ok()) return std::move(data).status();
  auto port = choose(config.port, ports);
  if (!port.is_ok()) return std::move(port).status();
  ClusterEntry out;
  out.address = {kHost, *port};
  out.argv = {find_service(Service::redis),
              "--port",
              std::to_string(*port),
              "--bind",
              kHost,
              "--dir",
              *data,
              "--daemonize",
              "no",
              "--save",
              "",
              "--appendonly",
              config.keep_data ? "yes" : "no"};
  out.ready = {out.address, "PING\r\n", kPong.size()};
  out.is_ready = [](const Answer& answer) { return answer.text.starts_with(kPong); };
  return out;
}

Result<ClusterEntry> plan_nats(const ClusterFile& file, PortFinder& ports) {
  auto port = choose(file.services.nats.port, ports);
  if (!port.is_ok()) return std::move(port).status();
  ClusterEntry out;
  out.address = {kHost, *port};
  out.argv = {find_service(Service::nats), "-a", kHost, "-p", std::to_string(*port)};
  out.ready = {out.address, "", kInfo.size()};
  out.is_ready = [](const Answer& answer) { return answer.text.starts_with(kInfo); };
  return out;
}

}  // namespace

std::string find_service(Service service) {
  if (service == Service::consul) return find_consul();
  return find_in_path(std::string(name_of(service)) + "-server");
}

std::string how_to_get(Service service) {
  if (service == Service::consul)
    return "consul was not found: put it into $PATH or at ~/.cache/m3/consul, or name it in "
           "$M3_CONSUL";
  return fmt::format("{0}-server was not found: put it into $PATH (Debian: apt install {0}-server)",
                     name_of(service));
}

Result<ClusterEntry> plan_service(Service service, const ClusterFile& file,
                                  const std::string& folder, PortFinder& ports) {
  auto out = service == Service::consul  ? plan_consul(file, folder, ports)
             : service == Service::redis ? plan_redis(file, folder, ports)
                                         : plan_nats(file, ports);
  if (!out.is_ok()) return out;
  out->name = std::string(name_of(service));
  out->log = folder + "/" + out->name + ".log";
  return out;
}

}  // namespace m3ctl
