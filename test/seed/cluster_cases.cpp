// SPDX-License-Identifier: BSL-1.0
// The rows about a cluster on one machine, with the real m3ctl and the files of configs/local.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "m3/testing/catch.h"
#include "process.h"

using namespace seed;
namespace fs = std::filesystem;

namespace {

/// Where m3ctl keeps what runs, apart from the user's own.
class Home {
 public:
  Home() {
    std::string path = "/tmp/m3-seed-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("no temporary folder");
    path_ = path;
    ::setenv("XDG_CACHE_HOME", path.c_str(), 1);
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  ~Home() {
    ::unsetenv("XDG_CACHE_HOME");
    fs::remove_all(path_);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Finished m3ctl(std::vector<std::string> words) {
  words.insert(words.begin(), m3ctl_program());
  return run(std::move(words));
}

using m3::testing::contains;

/// The pid that `m3ctl ps` shows for an instance; 0: it does not run.
pid_t pid_of(const std::string& id) {
  const std::string table = m3ctl({"ps"}).output;
  const std::size_t row = table.find(id + " ");
  return row == std::string::npos ? 0 : std::atoi(table.c_str() + row + id.size());
}

}  // namespace

TEST_CASE("S38: every cluster file in configs/ is good") {
  Home home;
  // Only looked for by a check.
  for (const char* service : {"consul", "redis-server", "nats-server"})
    fs::create_symlink("/bin/true", home.path() / service);
  const std::string path = env("PATH");
  ::setenv("PATH", (home.path().string() + ":" + path).c_str(), 1);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(source("configs/local"))) {
    const Finished checked = m3ctl({"up", entry.path().string(), "--check"});
    INFO(checked.output);
    CHECK(checked.code == 0);
    ++files;
  }
  ::setenv("PATH", path.c_str(), 1);
  CHECK(files >= 3);
}

TEST_CASE(
    "U6: one file runs a cluster of apps on this machine, which is called, repaired and ended") {
  Home home;
  Process up({m3ctl_program(), "up", source("configs/local/static.toml")});
  REQUIRE(up.says("all ready after"));
  for (const char* id : {"simple.1", "simple.2", "multi.1", "multi.2"})
    CHECK(contains(up.output(), std::string("local.world1.") + id));
  const Finished called =
      m3ctl({"call", "local.world1.simple", "SimpleSer/HelloWorld", R"({"Req": "Ann"})"});
  CHECK(called.code == 0);
  CHECK(contains(called.output, "HelloWorld , Ann"));
  const pid_t victim = pid_of("local.world1.multi.2");
  REQUIRE(victim > 1);
  const std::size_t before = up.output().size();
  ::kill(victim, SIGKILL);
  REQUIRE(up.says("is ready after", before));
  CHECK(pid_of("local.world1.multi.2") != victim);
  CHECK(contains(m3ctl({"routes", "local.world1.multi.2"}).output, "serving  yes"));
  CHECK(m3ctl({"down"}).code == 0);
  CHECK(up.wait() == 0);
  CHECK(contains(m3ctl({"ps"}).output, "no cluster runs here"));
}
