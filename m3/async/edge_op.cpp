// SPDX-License-Identifier: BSL-1.0
#include "m3/async/edge_op.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <system_error>

#if M3_EDGE_OP
#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#endif

namespace m3::async_detail {

namespace asio = boost::asio;
using boost::system::error_code;

#if M3_EDGE_OP

namespace detail = boost::asio::detail;

struct EdgeWatch::Impl {
  struct Op : detail::reactor_op {
    Op(Impl& owner, perform_func_type perform, func_type complete)
        : reactor_op(error_code(), perform, complete), impl(owner) {}
    Impl& impl;
    std::shared_ptr<Impl> keep;  // while the reactor knows the op
  };

  Impl(asio::io_context& io, int descriptor, void (*ready_fn)(void*), void* argument)
      : reactor(asio::use_service<detail::epoll_reactor>(io)),
        fd(descriptor),
        on_ready(ready_fn),
        arg(argument) {
    reactor.init_task();
    if (const int error = reactor.register_descriptor(fd, data))
      throw std::system_error(error, std::generic_category(), "epoll");
  }

  // Nothing is read here: other descriptors may have their turn before the completion runs.
  static detail::reactor_op::status perform_read(detail::reactor_op*) {
    return detail::reactor_op::done_and_exhausted;
  }
  static detail::reactor_op::status perform_write(detail::reactor_op*) {
    return detail::reactor_op::done;
  }

  static void complete_read(void* owner, detail::scheduler_operation* base, const error_code&,
                            std::size_t) {
    auto keep = std::move(static_cast<Op*>(static_cast<detail::reactor_op*>(base))->keep);
    if (owner && !keep->closed) keep->on_ready(keep->arg);
  }
  static void complete_write(void* owner, detail::scheduler_operation* base, const error_code&,
                             std::size_t) {
    auto keep = std::move(static_cast<Op*>(static_cast<detail::reactor_op*>(base))->keep);
    if (owner && !keep->closed) keep->on_writable(keep->arg);
  }

  detail::epoll_reactor& reactor;
  detail::epoll_reactor::per_descriptor_data data = nullptr;
  int fd;
  void (*on_ready)(void*);
  void (*on_writable)(void*) = nullptr;
  void* arg;
  bool closed = false;
  Op read{*this, &Impl::perform_read, &Impl::complete_read};
  Op write{*this, &Impl::perform_write, &Impl::complete_write};
};

void EdgeWatch::wait() {
  impl_->read.keep = impl_;
  impl_->reactor.start_op(detail::epoll_reactor::read_op, impl_->fd, impl_->data, &impl_->read,
                          true, true);
}

void EdgeWatch::wait_writable(void (*on_writable)(void*)) {
  impl_->on_writable = on_writable;
  impl_->write.keep = impl_;
  impl_->reactor.start_op(detail::epoll_reactor::write_op, impl_->fd, impl_->data, &impl_->write,
                          true, false);
}

void EdgeWatch::close() {
  if (impl_->closed) return;
  impl_->closed = true;
  impl_->reactor.deregister_descriptor(impl_->fd, impl_->data, false);
  impl_->reactor.cleanup_descriptor_data(impl_->data);
}

#else

struct EdgeWatch::Impl : std::enable_shared_from_this<EdgeWatch::Impl> {
  Impl(asio::io_context& io, int fd, void (*ready_fn)(void*), void* argument)
      : descriptor(io, fd), on_ready(ready_fn), arg(argument) {}

  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const error_code& error) {
                            if (self->closed || error == asio::error::operation_aborted) return;
                            self->on_ready(self->arg);
                          });
  }

  asio::posix::stream_descriptor descriptor;
  void (*on_ready)(void*);
  void* arg;
  bool closed = false;
};

void EdgeWatch::wait() { impl_->wait(); }

void EdgeWatch::wait_writable(void (*on_writable)(void*)) {
  impl_->descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                               [self = impl_, on_writable](const error_code& error) {
                                 if (!self->closed && error != asio::error::operation_aborted)
                                   on_writable(self->arg);
                               });
}

void EdgeWatch::close() {
  if (impl_->closed) return;
  impl_->closed = true;
  impl_->descriptor.release();
}

#endif

EdgeWatch::EdgeWatch(asio::io_context& io, int fd, void (*on_ready)(void*), void* arg)
    : impl_(std::make_shared<Impl>(io, fd, on_ready, arg)) {}

EdgeWatch::~EdgeWatch() { close(); }

}  // namespace m3::async_detail
