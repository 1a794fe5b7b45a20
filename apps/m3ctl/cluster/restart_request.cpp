// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/restart_request.h"

#include <filesystem>

#include "apps/m3ctl/cluster/run_folder.h"

namespace m3ctl {
namespace {

std::string file_of(const std::string& folder, const std::string& id) {
  return folder + "/" + id + ".restart";
}

}  // namespace

m3::Status ask_restart(const std::string& folder, const std::string& id, pid_t pid) {
  return write_whole(file_of(folder, id), std::to_string(pid));
}

bool take_restart_request(const std::string& folder, const std::string& id, pid_t pid) {
  const std::string file = file_of(folder, id);
  const auto asked = read_whole(file);
  if (!asked.is_ok()) return false;
  std::error_code ignored;
  std::filesystem::remove(file, ignored);  // a remaining one is of a pid that has ended
  return *asked == std::to_string(pid);
}

}  // namespace m3ctl
