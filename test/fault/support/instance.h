// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "m3/base/host_port.h"
#include "process.h"

namespace fault {

/// A running fault-app: a process of its own, to kill and to freeze. Its end is SIGKILL.
class Instance {
 public:
  /// Only begins to start one, with all of its file.
  static std::unique_ptr<seed::Process> begin(const std::string& id, const seed::TempFile& config);

  /// `config`: more of its file. `at`: where it listens; port 0: anywhere. `first`: what a shell
  /// does before it becomes the app.
  explicit Instance(std::string id, const std::string& config = "",
                    const std::string& at = "127.0.0.1:0", const std::string& first = "");

  const std::string& id() const { return id_; }
  const m3::HostPort& address() const { return address_; }
  const seed::Process& process() const { return *process_; }
  int wait() { return process_->wait(); }
  std::string output() const { return process_->output(); }
  void kill9() { process_->signal(9); }
  void terminate() { process_->signal(15); }
  /// Returns when it stands still.
  void freeze();
  void thaw();
  const seed::TempFile& config() const { return config_; }

 private:
  std::string id_;
  seed::TempFile config_;
  std::unique_ptr<seed::Process> process_;
  m3::HostPort address_;
};

/// `[router.static]` with these peers.
std::string static_router(const std::vector<const Instance*>& instances);
/// One entry of it: an id, wherever it is said to be.
std::string peer(const std::string& id, const m3::HostPort& at);
std::string static_peers(const std::vector<std::string>& peers);

}  // namespace fault
