// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "m3/async/bound.h"
#include "m3/async/ctx.h"
#include "m3/async/detail/frame_pool.h"

namespace m3::async_detail {

template <class Fn>
class Once final : public Runnable, public Pooled {
 public:
  explicit Once(Fn fn) : Runnable(run_member<Runnable, &Once::fire>), fn_(std::move(fn)) {}
  void fire() {
    const std::unique_ptr<Once> self(this);
    fn_();
  }

 private:
  Fn fn_;
};

/// Work that owns itself: `core.post(once([…] { … }))` runs the callable on that core, once, and
/// frees it. Everything it refers to must outlive it; an exception ends the process.
template <class Fn>
Runnable& once(Fn fn) {
  return *new Once<Fn>(std::move(fn));
}

}  // namespace m3::async_detail
