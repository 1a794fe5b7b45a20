// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace m3ctl {
namespace {

namespace fs = std::filesystem;
using m3::Errc;
using m3::Result;
using m3::Status;

Status cannot(const char* what, const std::string& path) {
  return Status(Errc::failed_precondition,
                fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

std::string lock_file(const std::string& state) { return state + ".lock"; }

struct flock whole_file() {
  struct flock out{};
  out.l_type = F_WRLCK;
  out.l_whence = SEEK_SET;
  return out;
}

}  // namespace

std::string cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/m3";
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "/tmp") + "/.cache/m3";
}

std::string state_file(const std::string& cluster) {
  return cache_folder() + "/run/" + cluster + ".json";
}

Status write_whole(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return cannot("write", fresh);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t done = write(file, text.data() + at, text.size() - at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      Status status = cannot("write", fresh);
      close(file);
      return status;
    }
    at += static_cast<std::size_t>(done);
  }
  if (close(file) != 0) return cannot("write", fresh);
  return rename(fresh.c_str(), path.c_str()) == 0 ? m3::ok : cannot("write", path);
}

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path);
  if (!file) return cannot("read", path);
  std::ostringstream out;
  out << file.rdbuf();
  return std::move(out).str();
}

Result<RunFolder> RunFolder::make(const std::string& cluster) {
  std::error_code error;
  const fs::path temp = fs::temp_directory_path(error);
  std::string path = (error ? fs::path("/tmp") : temp) / ("m3-" + cluster + ".XXXXXX");
  if (!mkdtemp(path.data())) return cannot("make", path);
  return RunFolder(std::move(path));
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")), keep_(other.keep_) {}

RunFolder::~RunFolder() {
  std::error_code ignored;
  if (!path_.empty() && !keep_) fs::remove_all(path_, ignored);
}

Result<ClusterLock> ClusterLock::take(const std::string& state) {
  std::error_code error;
  fs::create_directories(fs::path(state).parent_path(), error);
  const int file = open(lock_file(state).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return cannot("open", lock_file(state));
  ClusterLock out(file);
  struct flock whole = whole_file();
  if (fcntl(file, F_OFD_SETLK, &whole) == 0) return out;
  return Status(Errc::already_exists,
                "a cluster of this name is already running: m3ctl ps shows it; write another name "
                "= \"…\" in the file to run both");
}

bool ClusterLock::is_taken(const std::string& state) {
  const int file = open(lock_file(state).c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  struct flock found = whole_file();  // only tested: taking it would block `up`
  const bool asked = fcntl(file, F_OFD_GETLK, &found) == 0;
  close(file);
  return asked && found.l_type != F_UNLCK;
}

ClusterLock::ClusterLock(ClusterLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

ClusterLock::~ClusterLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace m3ctl
