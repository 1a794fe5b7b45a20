// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/redis/redis_connection.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <csignal>
#include <map>
#include <utility>

#include "m3/async/asio.h"
#include "m3/async/countdown.h"
#include "m3/async/timer.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

using boost::asio::posix::stream_descriptor;

/// hiredis writes with write(2), and a peer that is gone would end the process.
void ignore_sigpipe() {
  struct sigaction now{};
  if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
    std::signal(SIGPIPE, SIG_IGN);
}

constexpr std::size_t kMostErrorText = 1024;

Status error_reply(std::string_view text) {
  struct Known {
    std::string_view word;
    Errc code;
  };
  static constexpr std::array kKnown{
      Known{"WRONGPASS", Errc::unauthenticated}, Known{"NOAUTH", Errc::unauthenticated},
      Known{"NOPERM", Errc::permission_denied},  Known{"LOADING", Errc::unavailable},
      Known{"READONLY", Errc::unavailable},      Known{"MASTERDOWN", Errc::unavailable},
      Known{"BUSY", Errc::unavailable},          Known{"TRYAGAIN", Errc::unavailable},
      Known{"CLUSTERDOWN", Errc::unavailable},   Known{"OOM", Errc::resource_exhausted},
  };
  const std::string_view word = text.substr(0, text.find(' '));
  for (const Known& known : kKnown)
    if (word == known.word) return Status(known.code, "redis: " + cut_text(text, kMostErrorText));
  const bool password = text.find("AUTH") != std::string_view::npos ||
                        text.find("invalid password") != std::string_view::npos;
  return Status(password ? Errc::unauthenticated : Errc::invalid_argument,
                "redis: " + cut_text(text, kMostErrorText));
}

RedisReply to_reply(const redisReply& from) {
  RedisReply out;
  switch (from.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.type = RedisReply::Type::text;
      out.text.assign(from.str, static_cast<std::size_t>(from.len));
      break;
    case REDIS_REPLY_ERROR:
      out.type = RedisReply::Type::error;
      out.text.assign(from.str, static_cast<std::size_t>(from.len));
      break;
    case REDIS_REPLY_INTEGER:
      out.type = RedisReply::Type::integer;
      out.integer = from.integer;
      break;
    case REDIS_REPLY_ARRAY:
      out.type = RedisReply::Type::array;
      out.array.reserve(from.elements);
      for (std::size_t i = 0; i < from.elements; ++i)
        out.array.push_back(to_reply(*from.element[i]));
      break;
    default:
      break;
  }
  return out;
}

std::string_view text_of(const redisReply& reply) {
  return reply.type == REDIS_REPLY_STRING
             ? std::string_view(reply.str, static_cast<std::size_t>(reply.len))
             : std::string_view();
}

}  // namespace

/// hiredis's context, and the socket that it watches. Handlers of the socket keep it alive.
struct RedisConnection::Impl {
  /// Between hiredis and Asio: says when the socket can be read and written. hiredis closes it.
  struct Loop : std::enable_shared_from_this<Loop> {
    Loop(Core& owner, redisAsyncContext& made)
        : core(owner), context(&made), socket(io_context(owner), made.c.fd) {}
    void read() {
      if (std::exchange(reading, true)) return;
      socket.async_wait(stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          Turn turn(self->core);
                          self->reading = false;
                          if (!error && self->context && self->wants_read)
                            redisAsyncHandleRead(self->context);
                        });
    }
    void write() {
      if (std::exchange(writing, true)) return;
      socket.async_wait(stream_descriptor::wait_write,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          Turn turn(self->core);
                          self->writing = false;
                          if (!error && self->context && self->wants_write)
                            redisAsyncHandleWrite(self->context);
                        });
    }
    Core& core;
    redisAsyncContext* context;  // null: hiredis has freed it
    stream_descriptor socket;
    bool wants_read = false, wants_write = false;
    bool reading = false, writing = false;
  };

  class ReplyOp;
  struct Asked {
    ReplyOp* op;  // null: its caller has given up
  };

  Impl(Core& owner, const RedisOptions& given, OnMessage told)
      : core(owner), options(given), on_message(std::move(told)) {}
  ~Impl() { close(Status(Errc::cancelled, "shutting down")); }

  Status open(const std::string& ip, std::uint16_t port);
  void close(const Status& reason);
  void ended(const Status& reason);
  Status words_error(int code);
  Status add(std::span<const std::string_view> words, redisCallbackFn* callback, void* data);

  static Impl& of(const redisAsyncContext* context) { return *static_cast<Impl*>(context->data); }
  static void on_connect(const redisAsyncContext* context, int status);
  static void on_disconnect(const redisAsyncContext* context, int status);
  static void on_reply(redisAsyncContext* context, void* reply, void* asked);
  static void on_sent(redisAsyncContext* context, void* reply, void* unused);
  static void on_channel(redisAsyncContext* context, void* reply, void* unused);

  Core& core;
  const RedisOptions options;
  const OnMessage on_message;
  redisAsyncContext* context = nullptr;
  std::shared_ptr<Loop> loop;
  Countdown connecting;  // 1 while it does
  Countdown living;      // 1 from open() to ended()
  Status why;
  std::map<std::string, std::unique_ptr<Countdown>, std::less<>> subscribing;
};

Status RedisConnection::Impl::open(const std::string& ip, std::uint16_t port) {
  ignore_sigpipe();
  context = redisAsyncConnect(ip.c_str(), port);
  if (!context) return Status(Errc::resource_exhausted, "no memory for a connection");
  if (context->err) {
    Status status(Errc::unavailable, options.address.to_string() + ": " + context->errstr);
    redisAsyncFree(std::exchange(context, nullptr));
    return status;
  }
  loop = std::make_shared<Loop>(core, *context);
  context->data = this;
  context->ev.data = loop.get();
  context->ev.addRead = [](void* data) {
    auto& self = *static_cast<Loop*>(data);
    self.wants_read = true;
    self.read();
  };
  context->ev.delRead = [](void* data) { static_cast<Loop*>(data)->wants_read = false; };
  context->ev.addWrite = [](void* data) {
    auto& self = *static_cast<Loop*>(data);
    self.wants_write = true;
    self.write();
  };
  context->ev.delWrite = [](void* data) { static_cast<Loop*>(data)->wants_write = false; };
  context->ev.cleanup = [](void* data) {
    auto& self = *static_cast<Loop*>(data);
    self.context = nullptr;
    self.wants_read = self.wants_write = false;
    if (self.socket.is_open()) self.socket.release();
  };
  connecting.add();
  living.add();
  redisAsyncSetDisconnectCallback(context, &Impl::on_disconnect);
  redisAsyncSetConnectCallback(context, &Impl::on_connect);
  return ok;
}

void RedisConnection::Impl::ended(const Status& reason) {
  context = nullptr;
  if (living.count() == 0) return;
  why = reason;
  if (connecting.count()) connecting.done();
  living.done();
  for (auto& [channel, waiting] : subscribing)
    while (waiting->count()) waiting->done();
}

void RedisConnection::Impl::close(const Status& reason) {
  if (!context) return;
  redisAsyncContext* closing = context;
  ended(reason);
  closing->data = nullptr;  // its callbacks find nobody
  redisAsyncFree(closing);
}

void RedisConnection::Impl::on_connect(const redisAsyncContext* context, int status) {
  if (!context->data) return;
  Impl& self = of(context);
  if (status == REDIS_OK) return self.connecting.done();
  self.ended(Status(Errc::unavailable,
                    self.options.address.to_string() + ": " +
                        (context->errstr && *context->errstr ? context->errstr : "not reached")));
}

void RedisConnection::Impl::on_disconnect(const redisAsyncContext* context, int) {
  if (!context->data) return;
  Impl& self = of(context);
  self.ended(Status(
      Errc::unavailable,
      self.options.address.to_string() + ": " +
          (context->errstr && *context->errstr ? context->errstr : "the connection was lost")));
}

/// Waits for the answer to one command.
class RedisConnection::Impl::ReplyOp final : public async_detail::CtxOp {
 public:
  using value_type = RedisReply;
  ReplyOp(Ctx& ctx, Impl& impl, const std::vector<std::string>& words)
      : CtxOp(ctx), impl_(impl), words_(words) {}
  ReplyOp(ReplyOp&& other) noexcept
      : CtxOp(other.ctx()), impl_(other.impl_), words_(other.words_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused()) return true;
    const std::vector<std::string_view> views(words_.begin(), words_.end());
    auto asked = std::make_unique<Asked>(Asked{this});
    error() = impl_.add(views, &Impl::on_reply, asked.get());
    if (!error().is_ok()) return true;
    asked_ = asked.release();  // on_reply() deletes it
    suspend(waiter);
    return false;
  }
  RedisReply take() { return std::move(reply_); }
  void came(const redisReply* reply) {
    asked_ = nullptr;
    if (!reply) return finish(Status(Errc::unavailable, "redis: the connection was lost"));
    if (reply->type == REDIS_REPLY_ERROR)
      return finish(error_reply({reply->str, static_cast<std::size_t>(reply->len)}));
    reply_ = to_reply(*reply);
    finish();
  }

 private:
  void detach() noexcept override { std::exchange(asked_, nullptr)->op = nullptr; }
  Impl& impl_;
  const std::vector<std::string>& words_;
  Asked* asked_ = nullptr;
  RedisReply reply_;
};

void RedisConnection::Impl::on_reply(redisAsyncContext*, void* reply, void* asked) {
  const std::unique_ptr<Asked> mine(static_cast<Asked*>(asked));
  if (mine->op) mine->op->came(static_cast<redisReply*>(reply));
}

void RedisConnection::Impl::on_sent(redisAsyncContext*, void* reply, void*) {
  const auto* came = static_cast<redisReply*>(reply);
  if (came && came->type == REDIS_REPLY_ERROR)
    log::warn_limited("{}",
                      error_reply({came->str, static_cast<std::size_t>(came->len)}).to_string());
}

void RedisConnection::Impl::on_channel(redisAsyncContext* context, void* reply, void*) {
  const auto* came = static_cast<redisReply*>(reply);
  if (!came || !context->data) return;
  Impl& self = of(context);
  if (came->type == REDIS_REPLY_ERROR) {
    const Status status = error_reply({came->str, static_cast<std::size_t>(came->len)});
    return self.close(status);
  }
  if (came->type != REDIS_REPLY_ARRAY || came->elements != 3) return;
  const std::string_view what = text_of(*came->element[0]);
  const std::string_view channel = text_of(*came->element[1]);
  if (what == "message") {
    if (self.on_message) self.on_message(channel, text_of(*came->element[2]));
  } else if (what == "subscribe") {
    const auto waiting = self.subscribing.find(channel);
    if (waiting != self.subscribing.end())
      while (waiting->second->count()) waiting->second->done();
  }
}

Status RedisConnection::Impl::add(std::span<const std::string_view> words,
                                  redisCallbackFn* callback, void* data) {
  if (!context) return Status(why).not_executed();
  std::vector<const char*> begins;
  std::vector<std::size_t> sizes;
  begins.reserve(words.size());
  sizes.reserve(words.size());
  for (std::string_view word : words) {
    begins.push_back(word.data());
    sizes.push_back(word.size());
  }
  if (redisAsyncCommandArgv(context, callback, data, static_cast<int>(words.size()), begins.data(),
                            sizes.data()) == REDIS_OK)
    return ok;
  return Status(Errc::unavailable, "redis: the connection is closing").not_executed();
}

RedisConnection::RedisConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RedisConnection::~RedisConnection() = default;
bool RedisConnection::alive() const { return impl_->context != nullptr; }
const Status& RedisConnection::why() const { return impl_->why; }
void RedisConnection::close(const Status& why) { impl_->close(why); }

Task<> RedisConnection::lost(Ctx& ctx) {
  co_await impl_->living.zero(ctx);
  co_return ok;
}

Task<std::unique_ptr<RedisConnection>> RedisConnection::connect(Ctx& ctx,
                                                                const RedisOptions& options,
                                                                OnMessage on_message) {
  std::unique_ptr<RedisConnection> made(
      new RedisConnection(std::make_unique<Impl>(ctx.core(), options, std::move(on_message))));
  Impl& impl = *made->impl_;
  boost::asio::ip::tcp::resolver resolver(io_context(ctx.core()));
  auto found = co_await as_result(resolver.async_resolve(
      options.address.host, std::to_string(options.address.port), use_task(ctx)));
  if (!found.is_ok())
    co_return std::move(found).status().add_context("look up " + options.address.host);
  Status opened = impl.open(found->begin()->endpoint().address().to_string(), options.address.port);
  if (!opened) co_return opened;
  co_await impl.connecting.zero(ctx);
  if (!made->alive()) co_return impl.why;
  if (!options.password.empty()) {
    std::vector<std::string> auth{"AUTH"};
    if (!options.user.empty()) auth.push_back(options.user);
    auth.push_back(options.password);
    co_await made->command(ctx, std::move(auth));
  }
  std::vector<std::string> first{"PING"};  // whether it lets us in, and is no other server
  if (options.db) first = {"SELECT", std::to_string(options.db)};
  co_await made->command(ctx, std::move(first));
  co_return made;
}

Task<RedisReply> RedisConnection::command(Ctx& ctx, std::vector<std::string> words) {
  co_return co_await Impl::ReplyOp(ctx, *impl_, words);
}

Status RedisConnection::can_send(std::size_t more) const {
  if (!impl_->context) return Status(impl_->why).not_executed();
  if (sdslen(impl_->context->c.obuf) + more > impl_->options.max_pending)
    return Status(Errc::resource_exhausted,
                  "too much waits to be sent to redis at " + impl_->options.address.to_string())
        .not_executed();
  return ok;
}

Status RedisConnection::send(std::span<const std::string_view> words) {
  if (Status can = can_send(0); !can) return can;
  return impl_->add(words, &Impl::on_sent, nullptr);
}

Task<> RedisConnection::subscribe(Ctx& ctx, std::string channel) {
  auto& waiting = impl_->subscribing[channel];
  if (!waiting) waiting = std::make_unique<Countdown>();
  waiting->add();
  const std::array<std::string_view, 2> words{"SUBSCRIBE", channel};
  if (Status added = impl_->add(words, &Impl::on_channel, nullptr); !added) {
    waiting->done();
    co_return added;
  }
  co_await waiting->zero(ctx);
  if (!alive()) co_return why();
  co_return ok;
}

void RedisConnection::unsubscribe(std::string_view channel) {
  const std::array<std::string_view, 2> words{"UNSUBSCRIBE", channel};
  (void)impl_->add(words, nullptr, nullptr).is_ok();  // a lost connection hears nothing anyway
}

}  // namespace m3
