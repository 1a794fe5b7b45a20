// SPDX-License-Identifier: BSL-1.0
#include "m3/async/detail/promise.h"

#include <exception>
#include <string>

namespace m3::async_detail {

Status status_of_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    return Status(Errc::internal, std::string("exception: ") + e.what());
  } catch (...) {
    return Status(Errc::internal, "an exception whose type is not derived from std::exception");
  }
}

Status empty_task_status() {
  return Status(Errc::internal,
                "a Task without a coroutine was awaited: never made, or moved from");
}

void FinalAwaiter::fell_off(PromiseBase& promise) noexcept {
  promise.fail(Status(Errc::internal, "handler ended without co_return"));
}

}  // namespace m3::async_detail
