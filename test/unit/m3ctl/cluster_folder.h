// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "apps/m3ctl/cluster/cluster_file.h"
#include "m3/testing/catch.h"

namespace m3ctl_test {

/// A folder of one test, with a program that finds every configuration good. Removed with it.
class ClusterFolder {
 public:
  ClusterFolder() {
    std::string name = std::filesystem::temp_directory_path() / "m3ctl-unit-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
    program("app", "exit 0");
  }
  ~ClusterFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ClusterFolder(const ClusterFolder&) = delete;
  ClusterFolder& operator=(const ClusterFolder&) = delete;

  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ / name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path_ / name).rdbuf();
    return std::move(out).str();
  }
  void program(const std::string& name, const std::string& script) const {
    write(name, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path_ / name, std::filesystem::perms::owner_all);
  }
  m3ctl::ClusterFile load(const std::string& text, m3::ErrorList& errors) const {
    return m3ctl::ClusterFile::load(write("town.toml", text), errors);
  }
  /// Of a text that is good.
  m3ctl::ClusterFile load(const std::string& text) const {
    m3::ErrorList errors;
    m3ctl::ClusterFile out = load(text, errors);
    INFO(errors.to_string());
    REQUIRE(errors.empty());
    return out;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace m3ctl_test
