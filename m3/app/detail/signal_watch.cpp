// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/signal_watch.h"

#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "m3/async/asio.h"

namespace m3::app_detail {

struct SignalWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(Core& home, std::function<void(int)> handler)
      : core(home),
        on_signal(std::move(handler)),
        signals(io_context(home), SIGTERM, SIGINT, SIGHUP) {
    signals.add(SIGUSR1);
  }
  void wait() {
    signals.async_wait([self = shared_from_this()](boost::system::error_code error, int number) {
      if (error || !self->on_signal) return;
      Turn turn(self->core);
      self->wait();
      self->on_signal(number);
    });
  }

  Core& core;
  std::function<void(int)> on_signal;
  boost::asio::signal_set signals;
};

SignalWatch::SignalWatch(Core& core, std::function<void(int)> on_signal)
    : impl_(std::make_shared<Impl>(core, std::move(on_signal))) {
  impl_->wait();
}

SignalWatch::~SignalWatch() {
  impl_->on_signal = nullptr;
  boost::system::error_code ignored;
  (void)impl_->signals.cancel(ignored);
}

}  // namespace m3::app_detail
