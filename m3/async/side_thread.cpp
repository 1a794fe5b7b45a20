// SPDX-License-Identifier: BSL-1.0
#include "m3/async/side_thread.h"

#include <pthread.h>

#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include "m3/async/core_bound.h"

namespace m3 {

Status start_side_thread(std::function<void()> job) {
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    std::thread([job = std::move(job)]() mutable {
      pthread_setname_np(pthread_self(), "m3-side");
      async_detail::on_helper_thread = true;
      job();
      job = nullptr;
    }).detach();
  } catch (const std::system_error& error) {
    status = Status(Errc::resource_exhausted, std::string("no thread: ") + error.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

}  // namespace m3
