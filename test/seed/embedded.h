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
    auto inside = [this, &body](m3::Ctx&) -> std::invoke_result_t<Body&, m3::Ctx&> {
      m3::Ctx ctx(app_.runtime().core(0), m3::Deadline::never(), &app_);
      auto task = body(ctx);
      if constexpr (std::is_void_v<typename decltype(task)::value_type>) {
        co_await std::move(task);
        co_return m3::ok;
      } else {
        co_return co_await std::move(task);
      }
    };
    return app_.runtime().block_on(app_.runtime().core(0), inside);
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
