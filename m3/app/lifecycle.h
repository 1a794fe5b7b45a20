// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/duration.h"

namespace m3 {

/// The steps by which an app comes up and goes down: started by rising number, stopped in reverse.
/// Steps with the same number keep the order in which they were added. Owned by App; on one core.
class Lifecycle {
 public:
  using Step = std::function<Task<>(Ctx&)>;

  /// Where things belong.
  enum Stage : int {
    obs = 10,
    store = 20,
    shape = 30,
    mesh = 35,
    serve = 40,
    app = 50,
    listen = 55,
    announce = 60,
    gate = 70,
  };

  /// Either step may be empty. A step that was started gets its stop, once.
  void add(int stage, std::string name, Step start, Step stop);

  /// Ends with the first error, which says where it happened; then stop() undoes what was started.
  /// A step that takes longer than `step_limit` has failed.
  Task<> start(Ctx& ctx, Duration step_limit);
  /// Runs every stop step, whatever happens; the errors are logged, and the first is the outcome.
  /// When `ctx` is cancelled the remaining steps run with a cancelled context: nothing waits.
  Task<> stop(Ctx& ctx, Duration step_limit);

  bool started() const noexcept { return next_ > 0; }

 private:
  struct Entry {
    int stage;
    std::string name;
    Step start;
    Step stop;
    std::string title() const;
  };
  static Task<> run(Ctx& ctx, const Entry& entry, const Step& step, const char* verb,
                    Duration limit);

  std::vector<Entry> entries_;
  std::size_t next_ = 0;  // entries_[0..next_) are started
};

}  // namespace m3
