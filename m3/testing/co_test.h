// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <string>

#include "m3/testing/catch.h"
#include "m3/testing/sim.h"

// CO_TEST("room: what holds") { … co_await …; CHECK(…); }
//
// A test case whose body is a coroutine on core 0 of a SimRuntime. In scope: `sim` (the SimRuntime)
// and `ctx`. An awaited error ends the body and fails the test. REQUIRE works in the body itself;
// inside other Tasks use CHECK, or CO_REQUIRE in the body.

namespace m3::testing {

class TestBody {
 public:
  using value_type = void;
  struct promise_type final : async_detail::PromiseCommon<void> {
    std::exception_ptr exception;
    TestBody get_return_object() noexcept {
      return TestBody(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_void() noexcept { returned = true; }
    void unhandled_exception() noexcept {
      exception = std::current_exception();
      fail(Status(Errc::internal, "exception in the test body"));
    }
    Result<void> take_result() {
      if (exception) std::rethrow_exception(exception);
      if (failed) return Result<void>(std::move(error));
      return {};
    }
  };
  TestBody() noexcept = default;
  explicit TestBody(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  TestBody(TestBody&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  TestBody& operator=(TestBody&& other) noexcept {
    if (frame_) frame_.destroy();
    frame_ = std::exchange(other.frame_, {});
    return *this;
  }
  ~TestBody() {
    if (frame_) frame_.destroy();
  }
  std::coroutine_handle<promise_type> frame() const noexcept { return frame_; }

 private:
  std::coroutine_handle<promise_type> frame_;
};

inline void run_test_body(TestBody (*body)(SimRuntime&, Ctx&)) {
  SimRuntime sim;
  INFO("replay with M3_TEST_SEED=" << sim.seed());
  // The frame outlives run(): a REQUIRE that failed is thrown from here, outside any coroutine.
  std::optional<TestBody> frame;
  struct Waiting {
    static Task<> go(std::optional<TestBody>& frame, TestBody (*body)(SimRuntime&, Ctx&),
                     SimRuntime& sim, Ctx& ctx) {
      frame.emplace(body(sim, ctx));
      co_await Run(*frame);
      co_return ok;
    }
    struct Run {
      explicit Run(TestBody& made) : body(made) {}
      TestBody& body;
      std::coroutine_handle<> waiting;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> handle) {
        waiting = handle;
        auto f = body.frame();
        return !async_detail::start_root(
            f, f.promise(), [](void* arg) { return static_cast<Run*>(arg)->waiting; }, this);
      }
      void await_resume() const noexcept {}
    };
  };
  const Status ended =
      sim.run([&](Ctx& ctx) { return Waiting::go(frame, body, sim, ctx); }).status();
  INFO("the run ended with " << ended.to_string());
  REQUIRE(ended.is_ok());
  const Status outcome = frame->frame().promise().take_result().status();
  INFO("the test body ended with " << outcome.to_string());
  CHECK(outcome.is_ok());
}

}  // namespace m3::testing

#define M3_CO_TEST_CAT2(a, b) a##b
#define M3_CO_TEST_CAT(a, b) M3_CO_TEST_CAT2(a, b)
#define M3_CO_TEST(body, ...)                                                      \
  static m3::testing::TestBody body(m3::testing::SimRuntime& sim, m3::Ctx& ctx);   \
  TEST_CASE(__VA_ARGS__) { m3::testing::run_test_body(&body); }                    \
  static m3::testing::TestBody body([[maybe_unused]] m3::testing::SimRuntime& sim, \
                                    [[maybe_unused]] m3::Ctx& ctx)
#define CO_TEST(...) M3_CO_TEST(M3_CO_TEST_CAT(m3_co_test_, __LINE__), __VA_ARGS__)
#define CO_REQUIRE(...)                                   \
  do {                                                    \
    const bool m3_holds = static_cast<bool>(__VA_ARGS__); \
    INFO(#__VA_ARGS__);                                   \
    CHECK(m3_holds);                                      \
    if (!m3_holds) co_return;                             \
  } while (false)
