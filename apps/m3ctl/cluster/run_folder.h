// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "m3/base/result.h"

namespace m3ctl {

/// ~/.cache/m3, or m3 in $XDG_CACHE_HOME.
std::string cache_folder();
/// The state file of `up`: ~/.cache/m3/run/NAME.json
std::string state_file(const std::string& cluster);
/// Readers see the whole text, or the previous one. Only its owner may read it.
m3::Status write_whole(const std::string& path, const std::string& text);
m3::Result<std::string> read_whole(const std::string& path);

/// Configurations, logs and data of one run: a new folder below $TMPDIR that only its owner may
/// read. Removed with everything in it by the destructor, unless keep() was called.
class RunFolder {
 public:
  static m3::Result<RunFolder> make(const std::string& cluster);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();
  const std::string& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  bool keep_ = false;
};

/// Held by `up` while its cluster runs; the kernel releases it when the process ends in any way.
class ClusterLock {
 public:
  /// already_exists: another `up` holds it.
  static m3::Result<ClusterLock> take(const std::string& state_file);
  /// Whether it is held.
  static bool is_taken(const std::string& state_file);
  ClusterLock(ClusterLock&& other) noexcept;
  ClusterLock& operator=(ClusterLock&&) = delete;
  ~ClusterLock();

 private:
  explicit ClusterLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace m3ctl
