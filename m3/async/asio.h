// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one public header that lets Asio in: for plugins and for m3's own .cpp files.

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/async/task.h"

namespace m3 {

/// The core's event loop. Handlers that touch m3 open a Turn first; use_task does.
boost::asio::io_context& io_context(Core& core);

/// Foreign errors are converted to a Status here, once.
Status to_status(const boost::system::error_code& error);

/// Completion token: `std::size_t n = co_await socket.async_read_some(buffer, m3::use_task(ctx));`
/// An error ends the coroutine (or is returned by as_result); the context's cancellation or
/// deadline cancels the operation, which then fails with the context's error.
struct UseTask {
  Ctx* ctx;
};
inline UseTask use_task(Ctx& ctx) { return UseTask{&ctx}; }

namespace async_detail {

template <class... Args>
struct AsioValue {
  using type = std::tuple<Args...>;
};
template <>
struct AsioValue<> {
  using type = void;
};
template <class One>
struct AsioValue<One> {
  using type = One;
};

/// One Asio operation as a leaf op. It always ends through its handler, also when cancelled.
template <class Initiation, class InitArgs, class... Args>
class [[nodiscard("co_await it: it does nothing before it is awaited")]] AsioOp : CancelNode,
                                                                                  Runnable {
 public:
  using m3_leaf_op = void;
  using value_type = typename AsioValue<Args...>::type;

  AsioOp(Ctx& ctx, Initiation initiation, InitArgs args)
      : CancelNode(run_member<CancelNode, &AsioOp::on_cancel>),
        Runnable(run_member<Runnable, &AsioOp::on_ready>),
        ctx_(ctx),
        initiation_(std::move(initiation)),
        args_(std::move(args)) {}
  AsioOp(AsioOp&& other) noexcept
      : CancelNode(run_member<CancelNode, &AsioOp::on_cancel>),
        Runnable(run_member<Runnable, &AsioOp::on_ready>),
        ctx_(other.ctx_),
        initiation_(std::move(other.initiation_)),
        args_(std::move(other.args_)) {}

  Status& error() noexcept { return error_; }

  bool start(Waiter& waiter) {
    if (!may_use(ctx_.core())) {
      error_ = wrong_core(ctx_);
      return true;
    }
    if (!ctx_.cancelled() && ctx_.deadline().passed(ctx_.core().now()))
      ctx_.cancel(CancelReason::deadline);
    if (ctx_.cancelled()) {
      error_ = ctx_.status();
      return true;
    }
    waiter_ = &waiter;
    ctx_.add(*this);
    ctx_.watch_deadline();
    std::apply(
        [this](auto&&... args) {
          std::move(initiation_)(boost::asio::bind_cancellation_slot(signal_.slot(), Handler{this}),
                                 std::move(args)...);
        },
        std::move(args_));
    return false;
  }

  value_type take() {
    if constexpr (sizeof...(Args) == 1)
      return std::get<0>(*std::move(value_));
    else if constexpr (sizeof...(Args) > 1)
      return *std::move(value_);
  }

 private:
  struct Handler {
    AsioOp* op;
    void operator()(boost::system::error_code error, Args... args) const {
      Turn turn(op->ctx_.core());
      op->finish(error, std::move(args)...);
    }
  };

  void finish(const boost::system::error_code& error, Args... args) {
    unlink();
    value_.emplace(std::move(args)...);
    if (error) error_ = ctx_.cancelled() ? ctx_.status() : to_status(error);
    ctx_.will_resume();
    ctx_.core().ready(*this);
  }
  void on_ready() {
    ctx_.core().set_task_name(ctx_.name());
    ctx_.resumes();
    waiter_->complete();
  }
  void on_cancel() { signal_.emit(boost::asio::cancellation_type::terminal); }

  Ctx& ctx_;
  Initiation initiation_;
  InitArgs args_;
  Waiter* waiter_ = nullptr;
  Status error_;
  boost::asio::cancellation_signal signal_;
  std::optional<std::tuple<Args...>> value_;
};

/// Runs a Task that Asio code awaits and owns it until it has ended.
template <class T, class Handler>
struct AsioRun {
  AsioRun(Core& core, Handler given) : home(core), handler(std::move(given)) {}
  static void start(Core& core, Task<T> task, Handler handler) {
    CoreBound(core).demand("core of m3::async_run");
    auto* run = new AsioRun(core, std::move(handler));
    Turn turn(core);
    run->root.start(*run, std::move(task));
  }
  void ended(Result<T> outcome) {
    const std::unique_ptr<AsioRun> self(this);
    auto executor = boost::asio::get_associated_executor(handler, io_context(home).get_executor());
    boost::asio::post(executor,
                      [handler = std::move(handler), result = std::move(outcome)]() mutable {
                        std::move(handler)(std::move(result));
                      });
  }
  Core& home;
  Handler handler;
  Root<T, AsioRun> root;
};

}  // namespace async_detail

/// For Asio code (an asio::awaitable, a callback) that wants a Task's outcome: starts the Task on
/// this core, which must be the calling thread's, and completes with a Result<T>.
///   m3::Result<int> r = co_await m3::async_run(core, compute(ctx), asio::use_awaitable);
template <class T, class Token>
auto async_run(Core& core, Task<T> task, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<T>)>(
      [&core](auto handler, Task<T> made) {
        async_detail::AsioRun<T, decltype(handler)>::start(core, std::move(made),
                                                           std::move(handler));
      },
      token, std::move(task));
}

}  // namespace m3

template <class... Args>
struct boost::asio::async_result<m3::UseTask, void(boost::system::error_code, Args...)> {
  template <class Initiation, class... InitArgs>
  static auto initiate(Initiation&& initiation, m3::UseTask token, InitArgs&&... args) {
    using ArgTuple = std::tuple<std::decay_t<InitArgs>...>;
    return m3::async_detail::AsioOp<std::decay_t<Initiation>, ArgTuple, std::decay_t<Args>...>(
        *token.ctx, std::forward<Initiation>(initiation),
        ArgTuple(std::forward<InitArgs>(args)...));
  }
};
