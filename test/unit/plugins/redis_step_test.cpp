// SPDX-License-Identifier: BSL-1.0
// A step as a call of Redis's script, and what comes back. The rules are tested on a real server.
#include "plugins/database/redis/redis_step.h"

#include <cstdint>

#include "m3/testing/catch.h"

using m3::Errc;
using m3::RedisReply;
using m3::RowRequest;
using m3::RowVerdict;
using m3::redis_detail::read_step_reply;
using m3::redis_detail::StepCall;
using Words = std::vector<std::string>;

namespace {

RedisReply text(std::string value) {
  RedisReply out;
  out.type = RedisReply::Type::text;
  out.text = std::move(value);
  return out;
}

RedisReply reply(std::int64_t verdict, const Words& words) {
  RedisReply out;
  out.type = RedisReply::Type::array;
  out.array.emplace_back();
  out.array.back().type = RedisReply::Type::integer;
  out.array.back().integer = verdict;
  for (const std::string& word : words) out.array.push_back(text(word));
  return out;
}

}  // namespace

TEST_CASE("redis step: a call has the row as its only key, and numbers as text") {
  RowRequest save;
  save.kind = RowRequest::Kind::save;
  save.table = "role";
  save.key = std::string("a\r}\xff");
  save.owner = {"dev.w.role.1", UINT64_MAX, "host:1"};
  save.epoch = (std::uint64_t{1} << 53) + 1;
  save.version = 0;
  save.fields = {{1, "one"}, {19001, ""}};
  StepCall call("p:", save);
  const auto words = call.words("sha");
  CHECK(Words(words.begin(), words.end()) == Words{"EVALSHA", "sha", "1", "p:{role:a\r}\xff}",
                                                   "save", "dev.w.role.1", "18446744073709551615",
                                                   "host:1", "9007199254740993", "0", "", "x", "1",
                                                   "one", "19001", ""});
  call.set_indexed();
  CHECK(call.words("sha")[11] == "xi");
}

TEST_CASE("redis step: a call selects each field once") {
  RowRequest read;
  read.table = "t";
  read.key = "k";
  read.select = {7, 3, 7};
  StepCall call("", read);
  const auto words = call.words("sha");
  CHECK(Words(words.begin() + 4, words.end()) ==
        Words{"read", "", "0", "", "0", "", "", "x", "3", "7"});
}

TEST_CASE("redis step: a reply is read, whatever it is") {
  const RowRequest request;
  const auto good = read_step_reply(request, reply(6, {"2", "18446744073709551615", "1", "app", "9",
                                                       "host:1", "10", "b", "2", "a"}));
  REQUIRE(good.is_ok());
  CHECK_FALSE(good->index_first);
  CHECK(good->answer.verdict == RowVerdict::fenced);
  CHECK(good->answer.head == m3::RowHead{2, UINT64_MAX, true, {"app", 9, "host:1"}});
  CHECK(good->answer.fields == m3::StoredFields{{2, "a"}, {10, "b"}});
  const auto index = read_step_reply(request, reply(7, {}));
  REQUIRE(index.is_ok());
  CHECK(index->index_first);

  const Words head{"2", "1", "1", "app", "9", "host:1"};
  const auto with = [&head](std::size_t at, const std::string& word) {
    Words out = head;
    out.at(at) = word;
    return reply(0, out);
  };
  const auto also = [&head](const Words& more) {
    Words out = head;
    out.insert(out.end(), more.begin(), more.end());
    return reply(0, out);
  };
  for (const RedisReply& bad :
       {RedisReply(), text("x"), reply(0, {}), reply(8, head), reply(-1, head), with(0, ""),
        with(0, "1e3"), with(1, "18446744073709551616"), with(4, "-1"), also({"0", "x"}),
        also({"1x", "x"}), also({"4294967296", "x"})})
    CHECK(read_step_reply(request, bad).status() == Errc::data_loss);
}
