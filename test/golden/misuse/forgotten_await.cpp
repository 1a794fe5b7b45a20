// SPDX-License-Identifier: BSL-1.0
// Nothing happens without co_await. The compiler warns of it; here the warning is an error.
// error: co_await it: a Task does nothing before it is awaited
// error: co_await it: it does nothing before it is awaited
// error: co_await it: nothing is sent before it is awaited
// error: co_await it: as_result does nothing before it is awaited
// error: unused variable
#include "m3/async/channel.h"
#include "m3/async/timer.h"

#pragma GCC diagnostic error "-Wunused-result"
#pragma GCC diagnostic error "-Wunused-variable"

m3::Task<> work();

m3::Task<> f(m3::Ctx& ctx, m3::Channel<int>& channel) {
  work();
  m3::sleep(ctx, std::chrono::seconds(1));
  channel.send(ctx, 1);
  m3::as_result(work());
  auto named = work();
  co_return m3::ok;
}
