// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

#include "apps/m3ctl/cluster/process_handle.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

sigset_t watched_signals() {
  sigset_t out;
  sigemptyset(&out);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&out, number);
  return out;
}

Status cannot_start(const std::string& program, int error) {
  return Status(Errc::failed_precondition,
                fmt::format("cannot start {}: {}", program, std::strerror(error)));
}

/// In the child, after fork(): only what is safe there. Reports to `report` why it could not
/// continue.
[[noreturn]] void become(char* const* argv, int log, int report, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent exited before the line above
  setpgid(0, 0);
  for (int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(argv[0], argv);
  const int error = errno;
  (void)!write(report, &error, sizeof(error));
  _exit(127);
}

/// The errno that the child wrote before its exec() closed the pipe, or 0.
int read_report(int descriptor) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(descriptor, &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  return got == sizeof(error) ? error : 0;
}

Exit exit_of(int status) {
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

}  // namespace

std::string Exit::to_string() const {
  if (signal != 0) return fmt::format("was killed by signal {} ({})", signal, strsignal(signal));
  return code == 0 ? "exited" : fmt::format("exited with code {}", code);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), started_(other.started_) {}

Process& Process::operator=(Process&& other) noexcept {
  kill_and_reap();
  pid_ = std::exchange(other.pid_, 0);
  started_ = other.started_;
  return *this;
}

Process::~Process() { kill_and_reap(); }

void Process::kill_and_reap() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = 0;
}

Result<Process> Process::spawn(const std::vector<std::string>& argv, const std::string& log_file) {
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::array<int, 2> report{};
  const int log = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return cannot_start(log_file, errno);
  if (pipe2(report.data(), O_CLOEXEC) < 0) {
    const int error = errno;
    close(log);
    return cannot_start(argv[0], error);
  }
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) become(words.data(), log, report[1], parent);
  const int fork_error = child < 0 ? errno : 0;
  close(log);
  close(report[1]);
  Process out;
  out.pid_ = child < 0 ? 0 : child;
  out.started_ = start_ticks(out.pid_);
  const int error = fork_error != 0 ? fork_error : read_report(report[0]);
  close(report[0]);
  if (error != 0) return cannot_start(argv[0], error);
  return out;
}

void Process::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

std::optional<Exit> Process::poll() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return exit_of(status);
}

Result<Exit> run_to_end(const std::vector<std::string>& argv, const std::string& log_file,
                        std::chrono::milliseconds most) {
  auto process = Process::spawn(argv, log_file);
  if (!process.is_ok()) return std::move(process).status();
  const auto until = std::chrono::steady_clock::now() + most;
  while (std::chrono::steady_clock::now() < until) {
    if (auto ended = process->poll()) return *ended;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Status(Errc::deadline_exceeded, argv[0] + " does not exit");
}

SignalWaiter::SignalWaiter() {
  const sigset_t signals = watched_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  descriptor_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalWaiter::~SignalWaiter() {
  close(descriptor_);
  const sigset_t signals = watched_signals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

bool SignalWaiter::wait(std::chrono::milliseconds most) const {
  pollfd one{descriptor_, POLLIN, 0};
  ::poll(&one, 1, static_cast<int>(most.count()));
  bool wants_end = false;
  signalfd_siginfo info{};
  while (read(descriptor_, &info, sizeof(info)) == sizeof(info))
    wants_end = wants_end || info.ssi_signo != SIGCHLD;
  return wants_end;
}

bool is_executable(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string find_in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  // Debian keeps servers in sbin, which is not in every user's PATH.
  std::istringstream folders(std::string(path ? path : "/usr/bin:/bin") + ":/usr/sbin:/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = (folder.empty() ? "." : folder) + "/" + program;
    if (is_executable(file)) return file;
  }
  return "";
}

}  // namespace m3ctl
