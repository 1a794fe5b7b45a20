// SPDX-License-Identifier: BSL-1.0
#include "m3/async/promise.h"

#include <exception>
#include <string>

namespace m3::async_detail {

void PromiseBase::catch_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    fail(Status(Errc::internal, std::string("exception: ") + e.what()));
  } catch (...) {
    fail(Status(Errc::internal, "exception of a type that is no std::exception"));
  }
}

void FinalAwaiter::fell_off(PromiseBase& promise) noexcept {
  promise.fail(Status(Errc::internal, "handler ended without co_return"));
}

}  // namespace m3::async_detail
