// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/method.h"

namespace m3 {

/// One call, as interceptors see it.
struct InterceptedCall {
  const MethodInfo& method;
  const google::protobuf::MessageLite& request;
  /// Filled in once next() has succeeded; none for a notify.
  const google::protobuf::MessageLite* response;
  /// Incoming: the caller's app id; outgoing: the service id called.
  std::string_view peer;
};

/// Runs around the calls of one side: to inspect, measure, refuse or limit them. Added to the app
/// in main, first = outermost. Called on every core at once. Calls of m3's own services are left
/// out by default, so that a rule of the game cannot lock m3ctl out; see Intercepts.
///
///     Task<> on_call(Ctx& ctx, const InterceptedCall& call, Next& next) override {
///       if (full()) co_return Status(Errc::resource_exhausted, "…").not_executed();
///       auto outcome = co_await as_result(next(ctx));
///       co_return std::move(outcome).status();
///     }
///
/// An exception, or a Task that is empty (`return {};`), fails the call with `internal`.
class Interceptor {
 public:
  /// The rest of the chain, down to the call itself. On the client's side it may be called again
  /// when its Task has ended: everything inside runs again, as a new call (a retry). A request is
  /// handled once: on the server's side a second call fails with `internal`.
  class Next {
   public:
    virtual Task<> operator()(Ctx& ctx) = 0;

   protected:
    ~Next() = default;
  };

  virtual ~Interceptor() = default;
  /// `ctx` is the call's own; pass it to next(): a handler always runs under its call's context.
  /// `call` and `next` are valid until the returned Task has ended.
  virtual Task<> on_call(Ctx& ctx, const InterceptedCall& call, Next& next) = 0;
};

/// Which calls an interceptor runs around.
enum class Intercepts : std::uint8_t {
  app_calls,  ///< those of the apps' services
  all_calls,  ///< also those of m3's own services (package m3.*), which m3ctl calls
};

/// The interceptors of one side; the first is outermost.
class Interceptors {
 public:
  using List = std::vector<std::shared_ptr<Interceptor>>;

  void push_back(std::shared_ptr<Interceptor> interceptor,
                 Intercepts which = Intercepts::app_calls);
  /// Adds all of `others`, inside these.
  void append(const Interceptors& others);
  /// The interceptors around a call of the method.
  const List& around(const MethodInfo& method) const noexcept {
    const bool differ = around_m3_calls_.size() != around_app_calls_.size();
    return differ && is_of_m3(method) ? around_m3_calls_ : around_app_calls_;
  }

 private:
  List around_app_calls_;
  List around_m3_calls_;
};

/// The interceptors of an app; the first is outermost. Plugins add theirs in their constructors,
/// inside the app's own: `env.part<InterceptorLists>()->requests.push_back(…)`.
struct InterceptorLists {
  Interceptors requests;  ///< around every incoming request
  Interceptors calls;     ///< around every outgoing call
};

namespace rpc_detail {

/// The interceptors around one call, and `last` inside them. All three must outlive it.
class Chain {
 public:
  Chain(const Interceptors::List& list, InterceptedCall& call, Interceptor::Next& last)
      : list_(list), call_(call), last_(last) {}
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  /// The whole chain. The Chain outlives the Task.
  Task<> run(Ctx& ctx) { return from(ctx, 0); }

 private:
  /// One position in the list: calling it runs everything from there on.
  class Place final : public Interceptor::Next {
   public:
    Place(Chain& chain, std::size_t at) noexcept : chain_(chain), at_(at) {}
    Task<> operator()(Ctx& ctx) override { return chain_.from(ctx, at_); }

   private:
    Chain& chain_;
    const std::size_t at_;
  };
  Task<> from(Ctx& ctx, std::size_t at);
  Task<> innermost(Ctx& ctx);

  const Interceptors::List& list_;
  InterceptedCall& call_;
  Interceptor::Next& last_;
  bool inside_ = false;
};

}  // namespace rpc_detail
}  // namespace m3
