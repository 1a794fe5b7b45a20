// SPDX-License-Identifier: BSL-1.0
#include "support/instance.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "support/row.h"

namespace fault {
namespace {

/// M3_FAULT_APP, or the one beside this program.
std::string program() {
  if (const char* said = std::getenv("M3_FAULT_APP")) return said;
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "fault-app";
}

}  // namespace

std::unique_ptr<seed::Process> Instance::begin(const std::string& id,
                                               const seed::TempFile& config) {
  return std::make_unique<seed::Process>(
      std::vector<std::string>{program(), "-idstr", id, "-conf", config.path()});
}

Instance::Instance(std::string id, const std::string& config, const std::string& at,
                   const std::string& first)
    : id_(std::move(id)), config_("listen = \"" + at + "\"\ncores = 1\n" + config) {
  std::vector<std::string> command = {program(), "-idstr", id_, "-conf", config_.path()};
  if (!first.empty())
    command = {"/bin/sh", "-c",
               first + " && exec " + program() + " -idstr " + id_ + " -conf " + config_.path()};
  process_ = std::make_unique<seed::Process>(std::move(command));
  if (!process_->says("services=fault.Fault"))
    throw std::runtime_error(id_ + " did not start:\n" + process_->output());
  const std::string output = process_->output();
  const std::size_t begin = output.find("address=") + 8;
  address_ = *m3::HostPort::parse(output.substr(begin, output.find(' ', begin) - begin));
}

void Instance::freeze() {
  process_->signal(SIGSTOP);
  eventually([this] {
    std::ifstream stat("/proc/" + std::to_string(process_->pid()) + "/stat");
    std::string pid, name, state;
    stat >> pid >> name >> state;
    return state == "T";
  });
}

void Instance::thaw() { process_->signal(SIGCONT); }

std::string peer(const std::string& id, const m3::HostPort& at) {
  return id + "@" + at.to_string();
}

std::string static_peers(const std::vector<std::string>& peers) {
  std::string list;
  for (const std::string& one : peers) list += (list.empty() ? "\"" : ", \"") + one + "\"";
  return "[router.static]\npeers = [" + list + "]\n";
}

std::string static_router(const std::vector<const Instance*>& instances) {
  std::vector<std::string> peers;
  peers.reserve(instances.size());
  for (const Instance* one : instances) peers.push_back(peer(one->id(), one->address()));
  return static_peers(peers);
}

}  // namespace fault
