// SPDX-License-Identifier: BSL-1.0
#include "process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "m3/testing/eventually.h"

namespace seed {
namespace {

using m3::testing::eventually;

std::string new_file() {
  std::string path = "/tmp/m3-seed-XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0) throw std::runtime_error("no temporary file");
  ::close(fd);
  return path;
}

}  // namespace

Process::Process(std::vector<std::string> command) : output_file_(new_file()) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = ::open(output_file_.c_str(), O_WRONLY | O_APPEND);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
}

Process::~Process() {
  if (!ended()) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  ::unlink(output_file_.c_str());
}

bool Process::ended() const {
  if (pid_ < 0) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  pid_ = -1;
  return true;
}

std::string Process::output() const { return read_file(output_file_); }

bool Process::says(const std::string& text, std::size_t skip) const {
  const auto said = [&] { return output().find(text, skip) != std::string::npos; };
  bool over = false;
  return eventually([&] { return said() || (over = ended()); }) && (!over || said());
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Process::wait() {
  eventually([this] { return ended(); });
  return code_;
}

Finished run(std::vector<std::string> command) {
  Process process(std::move(command));
  const int code = process.wait();
  return {code, process.output()};
}

TempFile::TempFile(const std::string& text) : path_(new_file()) { write(text); }
TempFile::~TempFile() { ::unlink(path_.c_str()); }
void TempFile::write(const std::string& text) const { std::ofstream(path_) << text; }

std::string read_file(const std::string& path) {
  std::stringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

std::string env(const char* name) {
  const char* value = std::getenv(name);
  if (!value) throw std::runtime_error(std::string(name) + " is not set: run it by meson test");
  return value;
}

std::string simple_program() { return env("M3_SIMPLE"); }
std::string multi_program() { return env("M3_MULTI"); }
std::string async_program() { return env("M3_ASYNC"); }
std::string m3ctl_program() { return env("M3_M3CTL"); }
std::string source(const std::string& path) { return env("M3_SOURCE") + "/" + path; }

Simple::Simple(const std::string& id, const std::string& more)
    : config_(config_text(more)),
      process_({simple_program(), "-idstr", id, "-conf", config_.path()}) {
  if (!process_.says("services=proto.SimpleSer"))
    throw std::runtime_error("simple did not start:\n" + process_.output());
  const std::string output = process_.output();
  const std::size_t begin = output.find("address=") + 8;
  address_ = output.substr(begin, output.find(' ', begin) - begin);
}

std::string Simple::config_text(const std::string& more) {
  return "listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"0s\"\n" + more;
}

}  // namespace seed
