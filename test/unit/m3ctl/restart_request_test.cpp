// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/restart_request.h"

#include "apps/m3ctl/cluster/running.h"
#include "test/unit/m3ctl/cluster_folder.h"

using m3ctl::ask_restart;
using m3ctl::RunningEntry;
using m3ctl::starts_since;
using m3ctl::take_restart_request;
using m3ctl_test::ClusterFolder;

TEST_CASE("m3ctl restart request: it is of one process, and is used once") {
  const ClusterFolder folder;
  const std::string id = "local.world1.shop.1";
  CHECK_FALSE(take_restart_request(folder.path(), id, 41));
  REQUIRE(ask_restart(folder.path(), id, 41).is_ok());
  CHECK_FALSE(take_restart_request(folder.path(), "local.world1.shop.2", 41));
  CHECK(take_restart_request(folder.path(), id, 41));
  CHECK_FALSE(take_restart_request(folder.path(), id, 41));
}

TEST_CASE("m3ctl restart request: one for a process that has ended is forgotten") {
  const ClusterFolder folder;
  const std::string id = "local.world1.shop.1";
  REQUIRE(ask_restart(folder.path(), id, 41).is_ok());
  CHECK_FALSE(take_restart_request(folder.path(), id, 42));
  CHECK_FALSE(take_restart_request(folder.path(), id, 41));
}

TEST_CASE("m3ctl restart: the first start of an app that waited for the services counts") {
  const auto entry = [](std::string state, pid_t pid, unsigned restarts) {
    RunningEntry out;
    out.state = std::move(state);
    out.pid = pid;
    out.restarts = restarts;
    return out;
  };
  const RunningEntry waits = entry("waiting", 0, 0);
  CHECK(starts_since(waits, waits) == 0);
  CHECK(starts_since(waits, entry("starting", 41, 0)) == 1);
  CHECK(starts_since(waits, entry("ready", 41, 0)) == 1);
  CHECK(starts_since(waits, entry("ended", 0, 0)) == 1);
  CHECK(starts_since(waits, entry("ready", 42, 1)) == 2);

  const RunningEntry ran = entry("ready", 41, 3);
  CHECK(starts_since(ran, ran) == 0);
  CHECK(starts_since(ran, entry("ended", 0, 3)) == 0);
  CHECK(starts_since(ran, entry("ready", 42, 4)) == 1);
  CHECK(starts_since(ran, entry("starting", 43, 5)) == 2);
}
