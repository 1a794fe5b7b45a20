// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/local/local_broker.h"

#include <string>
#include <vector>

#include "m3/testing/catch.h"
#include "m3/testing/plugin_host.h"

using m3::Ctx;

namespace {

const std::string kConfig = "[broker.local]\nmax_pending = \"64KiB\"\n";

/// What came, by its first letter.
struct Ear final : m3::Broker::Subscriber {
  void on_message(std::string_view, std::string_view payload) override { heard += payload[0]; }
  void on_resubscribed(std::string_view) override {}
  std::string heard;
};

/// One app with one subscriber of "news".
struct Listener {
  Listener() : host(kConfig) {
    REQUIRE(host.started.is_ok());
    REQUIRE(host.run([this](Ctx& ctx) { return host.plugin().subscribe(ctx, "news", ear); }));
  }
  /// In one turn: nothing is delivered between.
  std::vector<m3::Errc> publish(const std::vector<std::string>& messages) {
    std::vector<m3::Errc> out;
    CHECK(host.on_core([&] {
      for (const std::string& message : messages)
        out.push_back(host.plugin().publish("news", message, 1).code());
    }));
    return out;
  }
  std::string heard() {
    std::string out;
    CHECK(host.on_core([&] { out = ear.heard; }));
    return out;
  }
  m3::testing::PluginHost<m3::Broker> host;
  Ear ear;
};

}  // namespace

TEST_CASE("local broker: delivered messages leave the backlog, however many came before") {
  Listener listener;
  std::string all;
  for (char c = 'a'; c <= 'z'; ++c) {
    CHECK(listener.publish({std::string(40 << 10, c)}) == std::vector{m3::Errc::ok});
    all += c;
    CHECK(listener.heard() == all);
  }
}

TEST_CASE(
    "local broker: one that does not keep up loses what is too much, and hears what follows") {
  Listener listener;
  (void)listener.publish({std::string(40 << 10, 'a'), std::string(40 << 10, 'b'), "c"});
  CHECK(listener.heard() == "ac");
  (void)listener.publish({std::string(64 << 10, 'd')});
  CHECK(listener.heard() == "acd");
  CHECK(listener.publish({std::string((64 << 10) + 1, 'e')}) ==
        std::vector{m3::Errc::invalid_argument});
  CHECK(listener.heard() == "acd");
}

TEST_CASE(
    "local broker: an unsubscribed subscriber gets nothing more, not even messages in flight") {
  Listener listener;
  CHECK(listener.host.on_core([&] {
    CHECK(listener.host.plugin().publish("news", "a", 1).is_ok());
    listener.host.plugin().unsubscribe("news", listener.ear);
    CHECK(listener.host.plugin().publish("news", "b", 1).is_ok());
  }));
  CHECK(listener.heard().empty());
}
