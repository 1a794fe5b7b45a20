// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/restart_request.h"

#include "test/unit/m3ctl/cluster_folder.h"

using m3ctl::ask_restart;
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
