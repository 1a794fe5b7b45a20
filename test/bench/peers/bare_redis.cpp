// SPDX-License-Identifier: BSL-1.0
// A publisher and a subscriber over Redis with hiredis, blocking, and nothing else.
#include <hiredis/hiredis.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "peers/bare_broadcast.h"
#include "support/hearing.h"

namespace bench {
namespace {

constexpr std::uint64_t kAtOnce = 64;        // PUBLISH commands in one send
constexpr std::uint64_t kUnanswered = 1024;  // as many may be under way

[[noreturn]] void fail(const char* what, redisContext* redis) {
  std::fprintf(stderr, "bare_redis: %s: %s\n", what, redis ? redis->errstr : "no memory");
  std::exit(1);
}

redisContext* connect_to(int port) {
  redisContext* redis = redisConnect("127.0.0.1", port);
  if (!redis || redis->err) fail("connect", redis);
  return redis;
}

void take_reply(redisContext* redis) {
  redisReply* reply = nullptr;
  if (redisGetReply(redis, reinterpret_cast<void**>(&reply)) != REDIS_OK) fail("reply", redis);
  if (reply->type == REDIS_REPLY_ERROR) fail(reply->str, redis);
  freeReplyObject(reply);
}

void subscribe(int port) {
  redisContext* redis = connect_to(port);
  redisAppendCommand(redis, "SUBSCRIBE %s", kBareTopic);
  take_reply(redis);
  JsonLine().text("event", "ready").print();
  Hearing hearing;
  for (;;) {
    redisReply* reply = nullptr;
    if (redisGetReply(redis, reinterpret_cast<void**>(&reply)) != REDIS_OK) return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3)
      hearing.heard({reply->element[2]->str, reply->element[2]->len});
    freeReplyObject(reply);
  }
}

void send(redisContext* redis) {
  int done = 0;
  while (!done)
    if (redisBufferWrite(redis, &done) != REDIS_OK) fail("write", redis);
}

void append(redisContext* redis, const std::string& text) {
  redisAppendCommand(redis, "PUBLISH %s %b", kBareTopic, text.data(), text.size());
}

void shout(redisContext* redis, std::uint64_t count) {
  const std::string message = message_text();
  const std::uint64_t cpu = own_cpu_ns();
  const std::uint64_t began = now_ns();
  std::uint64_t answered = 0;
  append(redis, first_text());
  for (std::uint64_t i = 2; i < count; ++i) {
    append(redis, message);
    if (i % kAtOnce != 0) continue;
    send(redis);
    while (i - answered > kUnanswered) {
      take_reply(redis);
      ++answered;
    }
  }
  append(redis, last_text());
  for (; answered < count; ++answered) take_reply(redis);
  print_published(count, began, own_cpu_ns() - cpu);
}

void publish(int port) {
  redisContext* redis = connect_to(port);
  JsonLine().text("event", "ready").print();
  for (Command command; next_command(command);) {
    if (command.word == "probe") {
      append(redis, probe_text());
      take_reply(redis);
    } else {
      shout(redis, command.count);
    }
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_bare(argc, argv);
  options.publish ? bench::publish(options.port) : bench::subscribe(options.port);
}
