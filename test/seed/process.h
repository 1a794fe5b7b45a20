// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace seed {

/// A program that runs beside the test. Killed when this goes, and when the test's main thread
/// dies.
class Process {
 public:
  explicit Process(std::vector<std::string> command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  /// Everything it wrote so far, to both outputs.
  std::string output() const;
  /// Waits until its output contains `text`, after the first `skip` bytes; false after 20 s, or
  /// when it ended without.
  bool says(const std::string& text, std::size_t skip = 0) const;
  void signal(int number) const;
  pid_t pid() const { return pid_; }  ///< -1: it has ended
  /// Waits for its end: the exit code; -signal when one ended it; -1000 after 20 s.
  int wait();

 private:
  bool ended() const;

  mutable pid_t pid_ = -1;
  mutable int code_ = -1000;
  std::string output_file_;
};

/// The output of a program that ends by itself, and its exit code.
struct Finished {
  int code;
  std::string output;
};
Finished run(std::vector<std::string> command);

/// A file with that text, gone with this.
class TempFile {
 public:
  explicit TempFile(const std::string& text);
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile();
  void write(const std::string& text) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
std::string env(const char* name);
std::string simple_program();
std::string multi_program();
std::string async_program();
std::string m3ctl_program();
std::string source(const std::string& path);  ///< a file of the source tree

/// A running apps/simple that said it is ready, on a free port.
class Simple {
 public:
  static std::string config_text(const std::string& more = "");
  explicit Simple(const std::string& id = "example.world1.simple.1", const std::string& more = "");
  const std::string& address() const { return address_; }
  Process& process() { return process_; }
  const TempFile& config() const { return config_; }

 private:
  TempFile config_;
  Process process_;
  std::string address_;
};

}  // namespace seed
