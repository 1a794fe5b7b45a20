// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include "client.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"

namespace seed {

/// An app inside the test's process that calls others: `peer` is "env.world.func.ins@host:port".
class Embedded {
 public:
  explicit Embedded(const std::string& func, const std::string& peer = "",
                    const std::string& more = "")
      : app_(func) {
    config_.config = "id = \"example.world1." + func + ".1\"\ncores = 1\ndrain_wait = \"0s\"\n" +
                     more + (peer.empty() ? "" : "[router.static]\npeers = [\"" + peer + "\"]\n");
  }
  ~Embedded() { (void)app_.stop(); }

  m3::App& app() { return app_; }
  m3::Status start() { return started_ ? m3::Status() : (started_ = true, app_.start(config_)); }

  /// Runs body(Ctx&) on core 0; the context belongs to the app.
  template <class Body>
  auto run(Body body) {
    if (m3::Status status = start(); !status) throw std::runtime_error(status.to_string());
    return app_.block_on(std::move(body));
  }

  /// What simple answers, or the error as text.
  std::string hello(const std::string& name) {
    auto ask = [&](m3::Ctx& ctx) -> m3::Task<std::string> {
      simple::Client client(app_);
      co_return co_await client.hello_world(ctx, name);
    };
    auto answer = run(ask);
    return answer.is_ok() ? *answer : answer.status().to_string();
  }

 private:
  m3::App app_;
  m3::App::Embedding config_;
  bool started_ = false;
};

}  // namespace seed
