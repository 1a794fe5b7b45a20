// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/log_merge.h"

#include "test/unit/m3ctl/cluster_folder.h"

using m3ctl::LogFollower;
using m3ctl_test::ClusterFolder;

TEST_CASE(
    "m3ctl log merge: lines are in the order of their times, followed by their untimed lines") {
  const ClusterFolder folder;
  const std::string a = folder.write("a.log",
                                     "2026-11-30T10:00:00.000001Z INFO one\n"
                                     "2026-11-30T10:00:02.000000Z ERROR three\n  its reason\n");
  const std::string b = folder.write("b.log",
                                     "2026-11-30T10:00:01.500000Z INFO two\x1b[31m\r\n"
                                     "2026-11-30T10:00:03.000000Z INFO four, not whole");
  std::vector<std::string> seen;
  const auto ends = m3ctl::merge_logs(
      {a, b, folder / "none.log"}, [&](std::size_t file, const std::string& line) {
        seen.push_back(std::to_string(file) + line.substr(line.find(' ')));
      });
  CHECK(seen == std::vector<std::string>{"0 INFO one", "1 INFO two?[31m", "0 ERROR three",
                                         "0  its reason", "1 INFO four, not whole"});
  REQUIRE(ends.size() == 3);
  CHECK(ends[0] == std::filesystem::file_size(a));
  CHECK(ends[1] == folder.read("b.log").find("2026-11-30T10:00:03"));
  CHECK(ends[2] == 0);
}

TEST_CASE("m3ctl log merge: a follower continues after the last complete line") {
  const ClusterFolder folder;
  const std::string file = folder.write("a.log", "one\ntw");
  const auto ends = m3ctl::merge_logs({file}, [](std::size_t, const std::string&) {});
  LogFollower follower;
  follower.add(file, ends.front());
  folder.write("a.log", "one\ntwo\nthree\n");
  std::vector<std::string> seen;
  follower.read([&](std::size_t, const std::string& line) { seen.push_back(line); });
  CHECK(seen == std::vector<std::string>{"two", "three"});
}
