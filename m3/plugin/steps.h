// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"

namespace m3 {

class Runtime;

/// When a step runs. An app starts by increasing stage and stops in reverse.
struct Stage {
  enum : int {
    obs = 10,       ///< log, metrics, traces, admin port
    store = 20,     ///< database, lease, broker
    shape = 30,     ///< rules before traffic
    mesh = 35,      ///< router, connections
    serve = 40,     ///< methods and their services are ready
    app = 50,       ///< the app's own hooks; while stopping, no handler is running any more
    listen = 55,    ///< calls are received; while stopping, running ones are finished
    announce = 60,  ///< others see the instance; while stopping, they no longer do
    gate = 70,      ///< game clients connect; while stopping, they are told to move
  };
};

/// The steps of one part of an app when the app starts and stops: as many as it needs, at their
/// stages. Filled before the app starts; core 0 runs the steps, one at a time.
///
/// - A step that was begun is undone, once, also when its begin failed or was interrupted.
/// - A begin that fails with unavailable is run again, with growing pauses, within start_timeout:
///   what it waits for may come. Any other error ends the start.
/// - An undo has a context of its own with its whole time (stop_timeout); it is cancelled when the
///   process is told a second time to end. A step that does not end although it is cancelled is
///   named in the log and left behind.
class Steps {
 public:
  using Body = std::function<Task<>(Ctx&)>;
  struct Step {
    int stage = 0;
    std::string name;
    Body begin;  ///< may be empty
    Body undo;   ///< may be empty
  };

  /// The steps of `owner` ("lease.redis"), whose own stage is `stage`.
  Steps(Runtime& runtime, std::string owner, int stage)
      : runtime_(runtime), owner_(std::move(owner)), stage_(stage) {}

  /// At the owner's stage, under its name.
  void add(Body begin, Body undo = {}) { add(stage_, "", std::move(begin), std::move(undo)); }
  /// `name` follows the owner's in logs; empty: none.
  void add(int stage, std::string_view name, Body begin, Body undo = {});
  /// Both run on every core, one core after the other, with a context there. Undone on the cores
  /// where it was begun.
  void add_on_each_core(int stage, std::string_view name, Body begin, Body undo = {});

  /// In the order in which they were added.
  std::vector<Step> take() && { return std::move(steps_); }

 private:
  Runtime& runtime_;
  const std::string owner_;
  const int stage_;
  std::vector<Step> steps_;
};

/// A part of an app with its own steps: a plugin, or an object of a room.
class Part {
 public:
  virtual ~Part() = default;
  /// Called once, after all parts are created and before the first step.
  virtual void steps(Steps& steps) = 0;
};

}  // namespace m3
