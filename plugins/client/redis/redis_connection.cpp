// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/redis/redis_connection.h"

#include <hiredis/hiredis.h>

#include <array>
#include <charconv>
#include <deque>
#include <utility>

#include "m3/async/countdown.h"
#include "m3/base/cut_text.h"
#include "m3/net/batched_stream.h"
#include "m3/obs/log.h"
#include "plugins/client/redis/resp_filter.h"

namespace m3 {
namespace {

constexpr std::size_t kMostErrorText = 1024;

Status error_reply(std::string_view text) {
  struct Known {
    std::string_view word;
    Errc code;
  };
  // All of them refuse a command before it has changed anything.
  static constexpr std::array kKnown{
      Known{"WRONGPASS", Errc::unauthenticated}, Known{"NOAUTH", Errc::unauthenticated},
      Known{"NOPERM", Errc::permission_denied},  Known{"LOADING", Errc::unavailable},
      Known{"READONLY", Errc::unavailable},      Known{"MASTERDOWN", Errc::unavailable},
      Known{"BUSY", Errc::unavailable},          Known{"TRYAGAIN", Errc::unavailable},
      Known{"CLUSTERDOWN", Errc::unavailable},   Known{"OOM", Errc::resource_exhausted},
      Known{"NOREPLICAS", Errc::unavailable},    Known{"MISCONF", Errc::unavailable},
      Known{"MOVED", Errc::unavailable},         Known{"ASK", Errc::unavailable},
      Known{"NOSCRIPT", Errc::unavailable},      Known{"WRONGTYPE", Errc::data_loss},
  };
  // A server at its limit of clients reports that once and closes.
  if (text.find("max number of clients") != std::string_view::npos)
    return Status(Errc::unavailable, "redis: " + cut_text(text, kMostErrorText)).not_executed();
  const std::string_view word = text.substr(0, text.find(' '));
  for (const Known& known : kKnown)
    if (word == known.word)
      return Status(known.code, "redis: " + cut_text(text, kMostErrorText)).not_executed();
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

/// hiredis's parser, and the commands that wait for answers. Its asynchronous API is not used: it
/// closes a connection whose SUBSCRIBE is refused, and does not accept an already connected socket.
struct RedisConnection::Impl final : StreamHandler {
  class ReplyOp;
  /// One command that waits for its answer; answers arrive in order.
  struct Asked {
    std::shared_ptr<ReplyOp*> op;  // the waiter for the reply; points to null: it has given up
    Answered answered;             // or: called with an error, and with OK if `always`
    bool always = false;
  };
  struct FreeReply {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };

  Impl(Core& owner, RedisOptions given, OnMessage told)
      : core(owner),
        options(std::move(given)),
        on_message(std::move(told)),
        filter(options.max_value),
        reader(redisReaderCreate(), &redisReaderFree) {
    living.add();
  }

  Taken on_bytes(std::string_view bytes) override;
  bool parse(std::string_view bytes);
  void on_writable() override {}
  void on_closed(Status reason) override {
    end(Status(Errc::unavailable, options.address.to_string() + ": " + reason.text()));
  }
  void on_reply(const redisReply& reply);
  bool is_message(const redisReply& reply) const;
  void end(const Status& reason);
  void write(std::span<const std::string_view> words);
  void channel_command(std::string_view verb, std::string_view channel, Answered answered);

  Core& core;
  const RedisOptions options;
  const OnMessage on_message;
  RespFilter filter;
  const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader;
  std::unique_ptr<BatchedStream> stream;
  bool alive = true;
  bool has_channels = false;
  Status why;
  Countdown living;
  std::deque<Asked> asked;
};

/// Waits for the answer to one command.
class RedisConnection::Impl::ReplyOp final : public async_detail::CtxOp {
 public:
  using value_type = RedisReply;
  enum class Errors : bool { fail, are_replies };
  ReplyOp(Ctx& ctx, Impl& impl, std::span<const std::string_view> words, Errors errors)
      : CtxOp(ctx), impl_(impl), words_(words), errors_(errors) {}
  ReplyOp(ReplyOp&& other) noexcept
      : CtxOp(other.ctx()), impl_(other.impl_), words_(other.words_), errors_(other.errors_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused()) {
      (void)std::move(error()).not_executed();
      return true;
    }
    if (!impl_.alive) {
      error() = Status(impl_.why).not_executed();
      return true;
    }
    mine_ = std::make_shared<ReplyOp*>(this);
    impl_.asked.push_back({mine_, {}, false});
    impl_.write(words_);
    suspend(waiter);
    return false;
  }
  RedisReply take() { return std::move(reply_); }
  void came(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_ERROR && errors_ == Errors::fail)
      return finish(error_reply({reply.str, static_cast<std::size_t>(reply.len)}));
    reply_ = to_reply(reply);
    finish();
  }
  void failed(Status status) { finish(std::move(status)); }

 private:
  void detach() noexcept override { *mine_ = nullptr; }
  Impl& impl_;
  const std::span<const std::string_view> words_;
  const Errors errors_;
  std::shared_ptr<ReplyOp*> mine_;
  RedisReply reply_;
};

void RedisConnection::Impl::end(const Status& reason) {
  if (!std::exchange(alive, false)) return;
  why = reason;
  if (stream) stream->close();
  living.done();
  for (const Asked& one : std::exchange(asked, {})) {
    if (one.op && *one.op) (*one.op)->failed(why);
    if (one.answered && one.always) one.answered(why);
  }
}

StreamHandler::Taken RedisConnection::Impl::on_bytes(std::string_view bytes) {
  // In slices, so that a core with many answers to handle can do other work.
  constexpr std::size_t kSlice = 8u << 10;
  Taken taken;
  while (alive && !taken.again && taken.bytes < bytes.size()) {
    const std::string_view slice = bytes.substr(taken.bytes, kSlice);
    taken.bytes += slice.size();
    if (!parse(slice)) break;
    while (alive) {
      void* made = nullptr;
      if (redisReaderGetReply(reader.get(), &made) != REDIS_OK) {
        end(Status(Errc::unavailable,
                   options.address.to_string() + " does not speak Redis: " + reader->errstr));
        break;
      }
      if (!made) break;
      const std::unique_ptr<redisReply, FreeReply> reply(static_cast<redisReply*>(made));
      on_reply(*reply);
      if (core.spent()) taken.again = taken.bytes < bytes.size();
    }
  }
  return taken;
}

/// False: this is the end.
bool RedisConnection::Impl::parse(std::string_view bytes) {
  const bool good = filter.feed(
      bytes,
      [this](std::string_view piece) { redisReaderFeed(reader.get(), piece.data(), piece.size()); },
      [this](std::size_t size) {
        log::warn_limited("{}: a value of {} bytes is dropped, the limit is {}",
                          options.address.to_string(), size, options.max_value);
      });
  if (!good)
    end(Status(Errc::unavailable,
               options.address.to_string() + " does not speak Redis: a line without an end"));
  return good;
}

bool RedisConnection::Impl::is_message(const redisReply& reply) const {
  return has_channels && reply.type == REDIS_REPLY_ARRAY && reply.elements == 3 &&
         text_of(*reply.element[0]) == "message";
}

void RedisConnection::Impl::on_reply(const redisReply& reply) {
  if (is_message(reply)) {
    if (on_message) on_message(text_of(*reply.element[1]), text_of(*reply.element[2]));
    return;
  }
  Status status;
  if (reply.type == REDIS_REPLY_ERROR)
    status = error_reply({reply.str, static_cast<std::size_t>(reply.len)});
  if (asked.empty()) {  // sent unrequested, before the server closes
    if (!status) end(std::move(status).add_context(options.address.to_string()));
    return;
  }
  const Asked one = std::move(asked.front());
  asked.pop_front();
  if (one.op) {
    if (*one.op) (*one.op)->came(reply);
  } else if (one.answered) {
    if (one.always || !status) one.answered(status);
  } else if (!status) {
    log::warn_limited("{}", status.to_string());
  }
}

void RedisConnection::Impl::write(std::span<const std::string_view> words) {
  std::array<char, 24> digits{};
  const auto number = [&digits](std::size_t value) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  };
  stream->append({"*", number(words.size()), "\r\n"});
  for (const std::string_view word : words)
    stream->append({"$", number(word.size()), "\r\n", word, "\r\n"});
}

void RedisConnection::Impl::channel_command(std::string_view verb, std::string_view channel,
                                            Answered answered) {
  if (!alive) return answered(why);
  has_channels = true;
  asked.push_back({nullptr, std::move(answered), true});
  const std::array<std::string_view, 2> words{verb, channel};
  write(words);
}

Status to_status(const RedisReply& error) { return error_reply(error.text); }

RedisConnection::RedisConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RedisConnection::~RedisConnection() { close(Status(Errc::cancelled, "shutting down")); }
void RedisConnection::close(const Status& why) { impl_->end(why); }
std::uint64_t RedisConnection::received() const {
  return impl_->stream ? impl_->stream->received() : 0;
}
std::uint64_t RedisConnection::unsent() const {
  return impl_->stream ? impl_->stream->unsent() : 0;
}

Task<> RedisConnection::lost(Ctx& ctx) {
  co_await impl_->living.zero(ctx);
  co_return impl_->why;
}

Task<std::unique_ptr<RedisConnection>> RedisConnection::connect(Ctx& ctx, Transport& transport,
                                                                RedisOptions options,
                                                                OnMessage on_message) {
  std::unique_ptr<RedisConnection> made(new RedisConnection(
      std::make_unique<Impl>(ctx.core(), std::move(options), std::move(on_message))));
  Impl& impl = *made->impl_;
  auto stream = co_await as_result(transport.connect(ctx, impl.options.address));
  if (!stream.is_ok()) {
    if (ctx.cancelled()) co_return std::move(stream).status();
    co_return Status(Errc::unavailable,
                     impl.options.address.to_string() + ": " + stream.status().text());
  }
  impl.stream = std::make_unique<BatchedStream>(ctx.core(), *std::move(stream), impl);
  if (!impl.options.password.empty() || !impl.options.user.empty()) {
    std::vector<std::string> auth{"AUTH"};
    if (!impl.options.user.empty()) auth.push_back(impl.options.user);
    auth.push_back(impl.options.password);
    co_await made->command(ctx, std::move(auth));
  }
  std::vector<std::string> first{"PING"};  // whether it accepts the connection, and is Redis
  if (impl.options.db) first = {"SELECT", std::to_string(impl.options.db)};
  co_await made->command(ctx, std::move(first));
  co_return made;
}

Task<RedisReply> RedisConnection::command(Ctx& ctx, std::vector<std::string> words) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  co_return co_await Impl::ReplyOp(ctx, *impl_, views, Impl::ReplyOp::Errors::fail);
}

Task<RedisReply> RedisConnection::ask(Ctx& ctx, std::span<const std::string_view> words) {
  co_return co_await Impl::ReplyOp(ctx, *impl_, words, Impl::ReplyOp::Errors::are_replies);
}

Task<> RedisConnection::ping(Ctx& ctx) {
  if (!impl_->alive) co_return impl_->why;
  const auto answer = std::make_shared<Countdown>();
  answer->add();
  impl_->asked.push_back({nullptr, [answer](const Status&) { answer->done(); }, true});
  const std::array<std::string_view, 1> words{"PING"};
  impl_->write(words);
  co_await answer->zero(ctx);
  co_return impl_->why;
}

Status RedisConnection::can_send(std::size_t more) const {
  if (!impl_->alive) return Status(impl_->why).not_executed();
  if (impl_->stream->waiting() + more > impl_->options.max_pending)
    return Status(Errc::resource_exhausted, "the backlog of unsent data is full for redis at " +
                                                impl_->options.address.to_string())
        .not_executed();
  return ok;
}

Status RedisConnection::send(std::span<const std::string_view> words, Answered refused,
                             std::uint32_t weight) {
  if (Status can = can_send(0); !can) return can;
  impl_->asked.push_back({nullptr, std::move(refused), false});
  impl_->write(words);
  impl_->stream->mark(weight);
  return ok;
}

void RedisConnection::subscribe(std::string_view channel, Answered answered) {
  impl_->channel_command("SUBSCRIBE", channel, std::move(answered));
}

void RedisConnection::unsubscribe(std::string_view channel, Answered answered) {
  impl_->channel_command("UNSUBSCRIBE", channel, std::move(answered));
}

}  // namespace m3
