// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/byte_size.h"
#include "m3/config/schema.h"
#include "m3/plugin/broker.h"

namespace m3 {

/// `[broker.local]`, the default beside `[router.local]`: messages between the apps of this process
/// that share their parts (App::Embedding::shared). An app that is too slow loses messages, which
/// are counted.
class LocalBroker final : public Broker {
 public:
  static constexpr std::string_view kName = "local";
  static constexpr int kStage = 20;
  struct Config {
    ByteSize max_pending{16u << 20};
    static void describe(Schema<Config>& s);
  };

  LocalBroker(Env& env, const Config& config);
  ~LocalBroker() override;

  bool reaches_other_processes() const override { return false; }
  std::size_t max_payload() const override { return max_pending(); }
  std::size_t max_pending() const override;
  Task<> stop(Ctx& ctx) override;
  Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) override;
  void unsubscribe(std::string_view topic, Subscriber& subscriber) override;
  /// Slow receivers lose messages; the publisher never waits for them.
  Status can_publish(std::size_t) const override { return ok; }
  Status publish(std::string_view topic, std::string_view payload, std::uint32_t notifies) override;

 private:
  class Hub;
  struct App;
  struct Wish;

  std::shared_ptr<Hub> hub_;
  std::shared_ptr<App> app_;
  std::vector<std::shared_ptr<Wish>> wishes_;
};

}  // namespace m3
