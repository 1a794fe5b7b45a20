// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "app_test.m3.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"
#include "m3/async/timer.h"
#include "m3/net/loopback.h"
#include "m3/rpc/node.h"
#include "m3/testing/co_test.h"

namespace app_test {

using Names = std::vector<std::string>;

/// What happened, in order. One per test.
using Diary = std::shared_ptr<Names>;

class Talk final : public TalkService, public m3::ServiceHooks {
 public:
  Talk(m3::App& app, Diary diary) : app_(app), diary_(std::move(diary)) {}

  m3::Task<Answer> ask(m3::Ctx& ctx, const Question& req) override {
    diary_->push_back("ask");
    if (req.wait_ms()) {
      auto slept = co_await m3::as_result(m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms())));
      diary_->push_back(slept.is_ok() ? "answer" : "cancelled");
      if (!slept.is_ok()) co_return std::move(slept).status();
    }
    Answer rsp;
    rsp.set_text("you said " + req.text());
    rsp.set_by(app_.app_id().to_string());
    co_return rsp;
  }
  m3::Task<> on_init(m3::Ctx&, m3::App&) override { return note("talk init"); }
  m3::Task<> on_start(m3::Ctx&) override { return note("talk start"); }
  m3::Task<> on_stop(m3::Ctx&) override { return note("talk stop"); }
  m3::Task<> on_reload(m3::Ctx&, m3::App&) override { return note("talk reload"); }

 private:
  m3::Task<> note(std::string what) {
    diary_->push_back(std::move(what));
    co_return m3::ok;
  }
  m3::App& app_;
  Diary diary_;
};

/// Made of one number; knows no app.
class CounterOf final : public CounterService {
 public:
  explicit CounterOf(unsigned questions) : questions_(questions) {}
  m3::Task<Counted> how_many(m3::Ctx&, const Count&) override {
    Counted rsp;
    rsp.set_questions(questions_);
    co_return rsp;
  }

 private:
  unsigned questions_;
};

/// Simulated cores and network for whole apps.
struct World {
  explicit World(m3::testing::SimRuntime& runtime) : sim(runtime) {}

  m3::App::Embedding embedding(const std::string& id, std::string config) {
    m3::App::Embedding out;
    if (!id.empty()) out.id = *m3::AppId::parse(id);
    out.config = std::move(config);
    out.runtime = &sim.runtime();
    out.transport = [this](m3::Core& core) {
      return std::make_unique<m3::LoopbackTransport>(core, wire);
    };
    out.listen = [this](m3::RpcNode& node, m3::HostPort address) -> m3::Status {
      wire.listen(sim.core(), address,
                  [&node](std::unique_ptr<m3::Stream> stream) { node.accept(std::move(stream)); });
      return m3::ok;
    };
    return out;
  }

  m3::testing::SimRuntime& sim;
  m3::LoopbackNet wire;
};

/// A configuration file that can be written again.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_((std::filesystem::temp_directory_path() /
               ("m3-app-test-" + std::to_string(::getpid()) + ".toml"))
                  .string()) {
    write(text);
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using m3::testing::contains;

}  // namespace app_test
