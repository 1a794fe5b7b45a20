// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/steps.h"

#include <memory>
#include <utility>

#include "m3/async/runtime.h"

namespace m3 {
namespace {

/// One body on all cores. `begun` says on which of them.
Task<> begin_on_each(Ctx& ctx, Runtime& runtime, const Steps::Body& begin,
                     std::vector<bool>& begun) {
  for (unsigned i = 0; i < runtime.size(); ++i) {
    begun[i] = true;
    if (begin) co_await run_on(ctx, runtime.core(i), [&begin](Ctx& there) { return begin(there); });
  }
  co_return ok;
}

Task<> undo_on_each(Ctx& ctx, Runtime& runtime, const Steps::Body& undo, std::vector<bool>& begun) {
  Status first;
  for (unsigned i = runtime.size(); i-- > 0;) {
    const bool was_begun = begun[i];
    begun[i] = false;
    if (!was_begun || !undo) continue;
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
    std::vector<bool> begun;
  };
  auto both = std::make_shared<Both>(
      Both{runtime_, std::move(begin), std::move(undo), std::vector<bool>(runtime_.size())});
  add(
      stage, name,
      [both](Ctx& ctx) { return begin_on_each(ctx, both->runtime, both->begin, both->begun); },
      [both](Ctx& ctx) { return undo_on_each(ctx, both->runtime, both->undo, both->begun); });
}

}  // namespace m3
