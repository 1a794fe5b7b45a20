// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/static/static_router.h"

#include <string>
#include <vector>

#include "m3/testing/catch.h"
#include "m3/testing/plugin_host.h"

using m3::Ctx;
using m3::Member;

namespace {

const std::string kConfig = R"([router.static]
peers = ["dev.w.hello.1@10.0.0.1:1", "dev.w.hello.2@10.0.0.2:1", "dev.w.other.1@10.0.0.3:1"]
)";
const m3::ServiceId kHello = *m3::ServiceId::parse("dev.w.hello");

std::string text_of(const std::vector<Member>& members) {
  std::string out;
  for (const Member& member : members)
    out += member.id.to_string() + "@" + member.address.to_string() + " ";
  return out;
}

/// The lists that came.
struct Watching final : m3::Router::Watcher {
  void on_members(const m3::ServiceId&, std::vector<Member> members) override {
    lists.push_back(text_of(members));
  }
  void on_unreachable(const m3::ServiceId&, const m3::Status&) override {}
  std::vector<std::string> lists;
};

}  // namespace

TEST_CASE("static router: an app that its own list names is there once, where it says it is") {
  m3::testing::PluginHost<m3::Router> host(kConfig);
  REQUIRE(host.started.is_ok());
  const auto listed = [&] {
    auto members = host.ask([&](Ctx& ctx) { return host.plugin().members(ctx, kHello); });
    REQUIRE(members.is_ok());
    return text_of(*members);
  };
  CHECK(listed() == "dev.w.hello.1@10.0.0.1:1 dev.w.hello.2@10.0.0.2:1 ");
  Watching watching;
  CHECK(host.on_core([&] { host.plugin().watch(kHello, watching); }));
  const Member self = *m3::parse_member("dev.w.hello.2@10.0.0.9:9");
  CHECK(host.run([&](Ctx& ctx) { return host.plugin().announce(ctx, self); }));
  CHECK(listed() == "dev.w.hello.2@10.0.0.9:9 dev.w.hello.1@10.0.0.1:1 ");
  CHECK(host.run([&](Ctx& ctx) { return host.plugin().withdraw(ctx); }));
  CHECK(listed() == "dev.w.hello.1@10.0.0.1:1 dev.w.hello.2@10.0.0.2:1 ");
  CHECK(host.on_core([&] { host.plugin().unwatch(kHello); }));
  CHECK(watching.lists ==
        std::vector<std::string>{"dev.w.hello.1@10.0.0.1:1 dev.w.hello.2@10.0.0.2:1 ",
                                 "dev.w.hello.2@10.0.0.9:9 dev.w.hello.1@10.0.0.1:1 "});
}
