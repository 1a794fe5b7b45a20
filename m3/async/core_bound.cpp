// SPDX-License-Identifier: BSL-1.0
#include "m3/async/core_bound.h"

#include <cstdlib>

#include "m3/async/ctx.h"
#include "m3/obs/log.h"

namespace m3::async_detail {

void end_process(const std::string& why) noexcept {
  log::fatal("{}", why);
  std::abort();
}

Status wrong_core(std::string_view what, unsigned owner, std::string_view advice) {
  std::string text = "this ";
  text.append(what).append(" belongs to core ").append(std::to_string(owner));
  const Core* here = Core::try_current();
  if (!here)
    text += " and was used on a helper thread of m3::run_blocking: ";
  else if (here->index() == owner)
    text += " and was used on a core of another runtime: ";
  else
    text += " and was used on core " + std::to_string(here->index()) + ": ";
  return Status(Errc::failed_precondition, text.append(advice));
}

Status wrong_core(const Ctx& ctx) {
  return wrong_core(
      "Ctx", ctx.core().index(),
      "use the Ctx& that m3::run_on passes to its body, not one that the body captures");
}

bool CoreBound::first_use(const Core* now) noexcept {
  if (!now) return !on_helper_thread;
  const Core* owner = nullptr;
  if (!owner_.compare_exchange_strong(owner, now, std::memory_order_relaxed)) return owner == now;
  index_.store(now->index(), std::memory_order_relaxed);
  return true;
}

Status CoreBound::refusal(std::string_view what) const {
  return wrong_core(what, index_.load(std::memory_order_relaxed),
                    "go to its core first (m3::run_on), or have one on each core");
}

}  // namespace m3::async_detail
