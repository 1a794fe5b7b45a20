// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/signal_watch.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include "m3/async/asio.h"

namespace m3::app_detail {
namespace {

constexpr std::array<int, 4> kSignals{SIGTERM, SIGINT, SIGHUP, SIGUSR1};
constexpr unsigned kMostAtOnce = 3;  // a third SIGTERM exits at once; more have no meaning

// Data that the handler uses, on whichever thread it runs.
constinit std::array<std::atomic<unsigned>, kSignals.size()> caught{};
constinit std::atomic<int> bell{-1};  // an eventfd
static_assert(std::atomic<unsigned>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_caught(int number) {
  const int before = errno;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] != number) continue;
    // The counts are zero while they are being taken: a third signal means that they are not.
    const bool unheard = caught[i].fetch_add(1) + 1 >= kMostAtOnce;
    if (unheard && (number == SIGTERM || number == SIGINT)) ::_exit(1);
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t rung = ::write(bell, &one, sizeof one);
  errno = before;
}

void make_bell() noexcept {
  if (bell < 0) bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

}  // namespace

void catch_signals() noexcept {
  make_bell();
  struct sigaction action{};
  action.sa_handler = &on_caught;
  action.sa_flags = SA_RESTART;
  sigset_t ours;
  sigemptyset(&ours);
  for (int number : kSignals) sigaddset(&ours, number);
  action.sa_mask = ours;
  for (int number : kSignals) (void)::sigaction(number, &action, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

struct SignalWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(Core& home, std::function<void(int)> handler)
      : core(home), on_signal(std::move(handler)), ringing(io_context(home), bell) {}
  ~Impl() { ringing.release(); }  // the bell stays

  void wait() {
    ringing.async_wait(boost::asio::posix::descriptor_base::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                         if (error || !self->on_signal) return;
                         Turn turn(self->core);
                         std::uint64_t rung = 0;
                         [[maybe_unused]] const ssize_t got = ::read(bell, &rung, sizeof rung);
                         self->wait();
                         self->hand_over();
                       });
  }
  void hand_over() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      const unsigned times = std::min(caught[i].exchange(0), kMostAtOnce);
      for (unsigned n = 0; n < times && on_signal; ++n) on_signal(kSignals[i]);
    }
  }

  Core& core;
  std::function<void(int)> on_signal;
  boost::asio::posix::stream_descriptor ringing;
};

SignalWatch::SignalWatch(Core& core, std::function<void(int)> on_signal) {
  catch_signals();
  if (bell < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  impl_ = std::make_shared<Impl>(core, std::move(on_signal));
  impl_->wait();
}

SignalWatch::~SignalWatch() {
  impl_->on_signal = nullptr;
  boost::system::error_code ignored;
  (void)impl_->ringing.cancel(ignored);
}

}  // namespace m3::app_detail
