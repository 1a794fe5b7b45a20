// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/interceptor.h"

#include <utility>

namespace m3 {

void Interceptors::push_back(std::shared_ptr<Interceptor> interceptor, Intercepts which) {
  if (which == Intercepts::all_calls) around_m3_calls_.push_back(interceptor);
  around_app_calls_.push_back(std::move(interceptor));
}

void Interceptors::append(const Interceptors& others) {
  const auto add = [](List& to, const List& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  add(around_app_calls_, others.around_app_calls_);
  add(around_m3_calls_, others.around_m3_calls_);
}

namespace rpc_detail {

Task<> Chain::from(Ctx& ctx, std::size_t at) {
  if (at == list_.size()) return innermost(ctx);
  struct Around {
    static Task<> call(Chain& chain, Ctx& inner, std::size_t here) {
      Place next(chain, here + 1);
      chain.call_.response = nullptr;  // that of an earlier try
      Task<> task = chain.list_[here]->on_call(inner, chain.call_, next);
      if (!task.valid())
        co_return Status(Errc::internal,
                         "an interceptor returned an empty Task from on_call: make it a coroutine, "
                         "or return next(ctx)");
      co_await std::move(task);
      co_return ok;
    }
  };
  return Around::call(*this, ctx, at);
}

/// One at a time: all of them fill the same response.
Task<> Chain::innermost(Ctx& ctx) {
  if (inside_)
    co_return Status(
        Errc::internal,
        "an interceptor called next() again before the Task of its first call had finished");
  struct Inside {
    explicit Inside(bool& flag) noexcept : inside(flag) { inside = true; }
    ~Inside() { inside = false; }
    bool& inside;
  } const guard(inside_);
  co_await last_(ctx);
  co_return ok;
}

}  // namespace rpc_detail
}  // namespace m3
