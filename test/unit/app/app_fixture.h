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
#include "m3/testing/co_test.h"
#include "m3/testing/sim_net.h"

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

/// Whole apps on virtual time, each alone: they know of each other what their configuration says.
struct World {
  explicit World(m3::testing::SimRuntime& runtime) : net(runtime) {}

  m3::App::Embedding embedding(const std::string& id, std::string config) {
    m3::App::Embedding out = net.embedding(id, std::move(config));
    out.shared = nullptr;
    return out;
  }

  m3::testing::SimNet net;
  m3::testing::SimRuntime& sim = net.sim();
  m3::LoopbackNet& wire = net.wire();
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
