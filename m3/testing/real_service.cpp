// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/real_service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

#include "m3/testing/eventually.h"

namespace m3::testing {
namespace {

using Kind = RealService::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kStartAttempts = 5;  // each with different ports
constexpr seconds kStartTime(20);
constexpr seconds kStopTime(10);

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::redis:
      return "redis-server";
    case Kind::nats:
      return "nats-server";
    case Kind::consul:
      break;
  }
  return "consul";
}

std::string env(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value ? value : "";
}

bool is_program(const std::string& path) {
  return !path.empty() && ::access(path.c_str(), X_OK) == 0;
}

/// Empty when it is not installed.
std::string program_of(Kind kind) {
  if (kind == Kind::consul && is_program(env("M3_CONSUL"))) return env("M3_CONSUL");
  // Daemons are in sbin, which is not on everybody's PATH.
  std::stringstream path(env("PATH") + ":/usr/sbin:/usr/local/sbin");
  for (std::string folder; std::getline(path, folder, ':');) {
    const std::string candidate = folder + "/" + std::string(name_of(kind));
    if (!folder.empty() && is_program(candidate)) return candidate;
  }
  const std::string cached = env("HOME") + "/.cache/m3/consul";
  return kind == Kind::consul && is_program(cached) ? cached : "";
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(port);
  return name;
}

class Socket {
 public:
  explicit Socket(int type) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool bind(std::uint16_t port) const {
    const sockaddr_in name = loopback(port);
    return ::bind(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  }
  bool connect(std::uint16_t port) const {
    const sockaddr_in name = loopback(port);
    return ::connect(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

bool is_free(std::uint16_t port) {
  const Socket tcp(SOCK_STREAM);
  const Socket udp(SOCK_DGRAM);
  return tcp.bind(port) && udp.bind(port);
}

/// Below the ports that the system gives to outgoing connections: those of a client that keeps
/// trying to reach a stopped service would sooner or later take its port, or connect to themselves.
std::uint16_t free_port() {
  static std::mt19937 random(std::random_device{}());
  int lowest_outgoing = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> lowest_outgoing;
  std::uniform_int_distribution<int> any(10240, std::max(lowest_outgoing, 12288) - 1);
  for (int tries = 0; tries < 1000; ++tries) {
    const auto port = static_cast<std::uint16_t>(any(random));
    if (is_free(port)) return port;
  }
  return 0;
}

/// Sends `request` and reads until `enough` or for a second.
std::string ask(std::uint16_t port, std::string_view request, std::string_view enough) {
  const Socket socket(SOCK_STREAM);
  if (!socket.connect(port)) return "";
  if (!request.empty() && ::send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return "";
  std::string answer;
  char buffer[4096];
  for (pollfd readable{socket.fd(), POLLIN, 0}; ::poll(&readable, 1, 1000) == 1;) {
    const ssize_t got = ::recv(socket.fd(), buffer, sizeof buffer, 0);
    if (got <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
    if (answer.find(enough) != std::string::npos) break;
  }
  return answer;
}

}  // namespace

bool RealService::installed(Kind kind) { return !program_of(kind).empty(); }

std::string RealService::how_to_install(Kind kind) {
  const std::string name(name_of(kind));
  if (kind == Kind::consul)
    return "consul is not installed: put it on PATH or to ~/.cache/m3/consul, or set M3_CONSUL";
  return name + " is not installed: apt-get install " + name;
}

Result<std::unique_ptr<RealService>> RealService::prepare(Kind kind, Options options) {
  if (!installed(kind)) return Status(Errc::failed_precondition, how_to_install(kind));
  std::unique_ptr<RealService> service(new RealService(kind, std::move(options)));
  const std::string temp = env("TMPDIR");
  std::string folder = (temp.empty() ? "/tmp" : temp) + "/m3-service-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    return Status(Errc::unavailable, folder + ": " + std::strerror(errno));
  service->folder_ = folder;
  if (Status status = service->choose_ports(); !status) return status;
  return service;
}

Result<std::unique_ptr<RealService>> RealService::start(Kind kind, Options options) {
  Status last;
  for (int attempt = 0; attempt < kStartAttempts; ++attempt) {
    auto service = prepare(kind, options);
    if (!service.is_ok()) return service;
    last = (*service)->start_again();
    if (last) return service;
    // Exited at once: most likely a port was taken meanwhile.
    if ((*service)->running()) break;
  }
  return last;
}

RealService::~RealService() {
  kill9();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Status RealService::choose_ports() {
  address_.host = "127.0.0.1";
  address_.port = free_port();
  while (kind_ == Kind::consul && more_ports_.size() < 2) {
    const std::uint16_t port = free_port();
    const bool taken = port == address_.port || std::ranges::count(more_ports_, port) > 0;
    if (port == 0) break;
    if (!taken) more_ports_.push_back(port);
  }
  if (address_.port == 0 || (kind_ == Kind::consul && more_ports_.size() < 2))
    return Status(Errc::unavailable, "no free port on 127.0.0.1");
  return ok;
}

std::vector<std::string> RealService::command() const {
  const std::string port = std::to_string(address_.port);
  std::vector<std::string> words = {program_of(kind_)};
  const auto add = [&](std::vector<std::string> more) {
    words.insert(words.end(), more.begin(), more.end());
  };
  if (kind_ == Kind::redis) {
    add({"--port", port, "--bind", "127.0.0.1", "--dir", folder_, "--daemonize", "no", "--save",
         ""});
    if (options_.keeps_data) add({"--appendonly", "yes", "--appendfsync", "no"});
  } else if (kind_ == Kind::nats) {
    add({"-a", "127.0.0.1", "-p", port});
    if (options_.keeps_data) add({"-js", "-sd", folder_ + "/store"});
  } else {
    add({"agent", "-bind=127.0.0.1", "-client=127.0.0.1", "-http-port=" + port, "-dns-port=-1",
         "-grpc-port=-1", "-server-port=" + std::to_string(more_ports_[0]),
         "-serf-lan-port=" + std::to_string(more_ports_[1]), "-serf-wan-port=-1", "-node=test",
         "-log-level=warn"});
    if (options_.keeps_data)
      add({"-server", "-bootstrap-expect=1", "-data-dir=" + folder_ + "/store",
           "-hcl=performance { raft_multiplier = 1 leave_drain_time = \"0s\" }"});
    else
      add({"-dev"});
  }
  add(options_.args);
  return words;
}

Status RealService::launch() {
  std::vector<std::string> words = command();
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = folder_ + "/output.log";
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) return Status(Errc::unavailable, std::string("fork: ") + std::strerror(errno));
  if (pid_ == 0) {  // only what is safe after a fork of a process with threads
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::close_range(3, ~0U, 0);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return ok;
}

bool RealService::answers() const {
  const std::uint16_t port = address_.port;
  if (kind_ == Kind::nats) return ask(port, "", "\r\n").starts_with("INFO ");
  if (kind_ == Kind::redis) {
    const std::string answer = ask(port, "PING\r\n", "\r\n");
    return answer.starts_with("+PONG") || answer.starts_with("-NOAUTH");
  }
  // The leader's address, once there is one; "" in quotes before.
  const std::string answer =
      ask(port, "GET /v1/status/leader HTTP/1.0\r\nHost: localhost\r\n\r\n", "\r\n\r\n\"127");
  const bool closed_to_us = answer.find(" 403 ") != std::string::npos;  // ACLs are on
  return closed_to_us || answer.find("\r\n\r\n\"127") != std::string::npos;
}

Status RealService::start_again() {
  if (running()) stop();
  if (Status status = launch(); !status) return status;
  const bool answered = eventually([this] { return ended() || answers(); }, kStartTime);
  // Another program may have answered on this port.
  if (answered && !ended()) return ok;
  const std::string name(name_of(kind_));
  const std::string what = running() ? " does not answer on " : " exited instead of listening on ";
  return Status(Errc::unavailable, name + what + address_.to_string() + ":\n" + last_output());
}

bool RealService::ended() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ <= 0;
}

void RealService::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void RealService::stop() {
  thaw();
  signal(SIGTERM);
  if (!eventually([this] { return ended(); }, kStopTime)) kill9();
}

void RealService::kill9() {
  signal(SIGKILL);
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RealService::freeze() {
  signal(SIGSTOP);
  // The signal was sent; the state shows when it has arrived.
  eventually(
      [this] {
        std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
        std::string pid, name, state;
        stat >> pid >> name >> state;
        return !stat || state == "T";
      },
      kStopTime);
}

void RealService::thaw() { signal(SIGCONT); }

std::string RealService::output() const {
  std::stringstream out;
  out << std::ifstream(folder_ + "/output.log").rdbuf();
  return out.str();
}

std::string RealService::last_output() const {
  const std::string all = output();
  return all.size() > 2000 ? all.substr(all.size() - 2000) : all;
}

}  // namespace m3::testing
