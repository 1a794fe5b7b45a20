// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/steps.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "m3/async/runtime.h"

namespace m3 {
namespace {

/// The state of a step on one core.
enum class There : std::uint8_t { not_begun, begun, done };

/// Runs one body on all cores where it has not succeeded yet (in a retry).
Task<> begin_on_each(Ctx& ctx, Runtime& runtime, const Steps::Body& begin,
                     std::vector<There>& state) {
  for (unsigned i = 0; i < runtime.size(); ++i) {
    if (state[i] == There::done) continue;
    state[i] = There::begun;
    if (begin) co_await run_on(ctx, runtime.core(i), [&begin](Ctx& there) { return begin(there); });
    state[i] = There::done;
  }
  co_return ok;
}

Task<> undo_on_each(Ctx& ctx, Runtime& runtime, const Steps::Body& undo,
                    std::vector<There>& state) {
  Status first;
  for (unsigned i = runtime.size(); i-- > 0;) {
    const There was = std::exchange(state[i], There::not_begun);
    if (was == There::not_begun || !undo) continue;
    Status status = (co_await as_result(run_on(ctx, runtime.core(i), [&undo](Ctx& there) {
                      return undo(there);
                    }))).status();
    if (first) first = std::move(status);
  }
  co_return first;
}

}  // namespace

void Steps::add(int stage, std::string_view name, Body begin, Body undo) {
  std::string title = owner_;
  if (!title.empty() && !name.empty()) title += ' ';
  title += name;
  steps_.push_back({stage, std::move(title), std::move(begin), std::move(undo)});
}

void Steps::add_on_each_core(int stage, std::string_view name, Body begin, Body undo) {
  struct Both {
    Runtime& runtime;
    const Body begin, undo;
    std::vector<There> state;
  };
  auto both = std::make_shared<Both>(
      Both{runtime_, std::move(begin), std::move(undo), std::vector<There>(runtime_.size())});
  add(
      stage, name,
      [both](Ctx& ctx) { return begin_on_each(ctx, both->runtime, both->begin, both->state); },
      [both](Ctx& ctx) { return undo_on_each(ctx, both->runtime, both->undo, both->state); });
}

}  // namespace m3
