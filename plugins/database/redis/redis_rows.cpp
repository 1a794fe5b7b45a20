// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/redis/redis_rows.h"

#include <algorithm>
#include <array>
#include <utility>

#include "m3/async/backoff.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"

namespace m3::redis_detail {
namespace {

using namespace std::chrono_literals;
using Kind = RowRequest::Kind;

constexpr BackoffConfig kPauses{1ms, 10ms, 250ms};
/// Rows of a scan that are read at once.
constexpr std::size_t kLargestChunk = 200;

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }
bool is_error(const RedisReply& reply, std::string_view word) {
  return reply.type == RedisReply::Type::error && first_word(reply.text) == word;
}

std::size_t bytes_of(const RowRequest& request) noexcept {
  constexpr std::size_t kOverhead = 512;
  std::size_t bytes = kOverhead + request.table.size() + request.key.size();
  for (const StoredField& field : request.fields) bytes += sizeof field + field.bytes.size();
  return bytes;
}

/// Whether running it a second time gives the same answer, and changes nothing more.
bool may_repeat(Kind kind) noexcept {
  return kind == Kind::read || kind == Kind::check || kind == Kind::activate;
}

/// The status, but it says whether an attempt may have run.
Status told(const Status& status, bool maybe_ran) {
  Status out(status.code(), status.text());
  return maybe_ran ? out : std::move(out).not_executed();
}

}  // namespace

class RedisRows::Pending {
 public:
  Pending(RedisRows& rows, std::size_t bytes) : rows_(rows), bytes_(bytes) {
    rows_.pending_ += bytes_;
    rows_.running_.add();
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {
    rows_.pending_ -= bytes_;
    rows_.running_.done();
  }

 private:
  RedisRows& rows_;
  const std::size_t bytes_;
};

RedisRows::RedisRows(Core& core, Options options, MetricRegistry& metrics)
    : core_(core),
      options_(std::move(options)),
      steps_(metrics.counter("m3_database_steps_total", "Steps of rows that were run",
                             {{"database", "redis"}})),
      retries_(metrics.counter("m3_database_retries_total",
                               "Attempts at steps that were repeated because the server was away "
                               "or refused them",
                               {{"database", "redis"}})),
      client_(core, "database.redis", options_.redis,
              {{}, {}, {}, [this](Ctx& ctx, RedisConnection& connection) {
                 return prepare(ctx, connection);
               }}) {}

RedisRows::~RedisRows() = default;

Task<> RedisRows::start(Ctx& ctx) { return client_.start(ctx); }

Task<> RedisRows::stop(Ctx& ctx) {
  co_await client_.stop(ctx);
  Ctx patient(core_);
  co_await running_.zero(patient);
  co_return ok;
}

// ---- the connection

/// Whether this server runs the script, and may write.
Task<> RedisRows::prepare(Ctx& ctx, RedisConnection& connection) {
  const std::array<std::string_view, 3> load{"SCRIPT", "LOAD", kStepScript};
  RedisReply loaded = co_await connection.ask(ctx, load);
  if (loaded.type == RedisReply::Type::error) co_return to_status(loaded);
  if (sha_.empty()) sha_ = loaded.text;
  if (sha_ != loaded.text)
    co_return Status(Errc::unavailable,
                     "the server answers SCRIPT LOAD with '" + loaded.text + "'");
  RowRequest probe;
  probe.kind = Kind::check;
  probe.table = "_m3";
  probe.key = "probe";
  probe.owner.app = "nobody";
  StepCall call(options_.prefix, probe);
  const RedisReply checked = co_await connection.ask(ctx, call.words(sha_));
  if (is_error(checked, "MOVED") || is_error(checked, "CLUSTERDOWN"))
    co_return Status(
        Errc::failed_precondition,
        "the server is a node of a Redis cluster, which database.redis cannot use yet");
  // Rows can be read while the server's disk is full or its replicas are away.
  const bool reads_only = is_error(checked, "MISCONF") || is_error(checked, "NOREPLICAS");
  if (checked.type == RedisReply::Type::error && !reads_only) co_return to_status(checked);
  leaving_ = ok;
  co_return ok;
}

void RedisRows::leave_when_idle(const Status& why) {
  if (leaving_) leaving_ = why;
  if (asked_ == 0) client_.leave(why);
}

Task<RedisReply> RedisRows::try_once(Ctx& ctx, Words words) {
  if (!leaving_) co_return told(leaving_, false);
  ++asked_;
  Result<RedisReply> reply = co_await as_result(client_.ask(ctx, words));
  --asked_;
  if (!leaving_) leave_when_idle(leaving_);
  co_return reply;
}

Task<> RedisRows::pause(Ctx& ctx, TimePoint until, Backoff& pauses) {
  Ctx soon(ctx, Deadline(until));
  co_await sleep(soon, pauses.next(core_.random()()));
  co_await client_.connected(soon);
  co_return ok;
}

/// Tries again, for a while, as long as nothing has happened or nothing more would. Steps of
/// different rows may overtake each other then; RowGate keeps those of one row in order.
Task<RedisReply> RedisRows::ask(Ctx& ctx, Words words, Again again) {
  Backoff pauses(kPauses);
  TimePoint until{};
  bool maybe_ran = false;
  for (bool reloaded = false;;) {
    Result<RedisReply> reply = co_await as_result(try_once(ctx, words));
    const bool answered = reply.is_ok();
    if (answered && reply->type != RedisReply::Type::error) co_return reply;
    const Status why = answered ? to_status(*reply) : reply.status();
    if (!answered && why.maybe_executed()) {
      if (again == Again::no) co_return why;
      maybe_ran = true;
    }
    const bool passes = why == Errc::unavailable &&
                        !(answered && (is_error(*reply, "MOVED") || is_error(*reply, "ASK")));
    if (!passes) co_return told(why, maybe_ran || why.maybe_executed());
    retries_.inc();
    if (answered && is_error(*reply, "READONLY")) leave_when_idle(why);
    if (answered && is_error(*reply, "NOSCRIPT") && !std::exchange(reloaded, true)) {
      const std::array<std::string_view, 3> load{"SCRIPT", "LOAD", kStepScript};
      if ((co_await as_result(try_once(ctx, load))).is_ok()) continue;
    }
    if (until == TimePoint()) until = later(core_.read_clock(), options_.retry_time);
    const Status paused = (co_await as_result(pause(ctx, until, pauses))).status();
    if (paused) continue;
    const Status over = ctx.status();
    if (over) co_return told(why, maybe_ran);
    co_return told(Status(over.code(), over.text() + ": " + why.text()), maybe_ran);
  }
}

// ---- steps

Task<RowAnswer> RedisRows::run(Ctx& ctx, RowRequest request) {
  if (sha_.empty())
    co_return Status(Errc::unavailable, "database.redis: not started").not_executed();
  const std::size_t bytes = bytes_of(request);
  if (pending_ + bytes > options_.max_pending)
    co_return Status(Errc::resource_exhausted,
                     "more than database.redis.max_pending waits for the server")
        .not_executed();
  const Pending pending(*this, bytes);
  steps_.inc();
  StepCall call(options_.prefix, request);
  const auto mode = request.writes() ? RowGate::Mode::writes : RowGate::Mode::reads;
  Result<RowGate::Hold> place = co_await as_result(gate_.enter(ctx, call.row(), mode));
  if (!place.is_ok()) co_return std::move(place).status().not_executed();
  const Again again = may_repeat(request.kind) ? Again::yes : Again::no;
  bool is_indexed = false;
  for (bool index = request.kind == Kind::create;;) {
    if (index && !std::exchange(is_indexed, true)) {
      co_await add_to_index(ctx, request.table, request.key);
      call.set_indexed();
    }
    StepReply reply;
    {
      Result<StepReply> read = read_step_reply(request, co_await ask(ctx, call.words(sha_), again));
      if (!read.is_ok()) co_return read.status();
      reply = *std::move(read);
    }
    index = reply.index_first;
    if (index) continue;
    // An earlier read was refused and is tried again: it must not answer with a later state.
    if (place->is_oldest()) co_return std::move(reply.answer);
    co_await sleep(ctx, kPauses.first);
  }
}

/// Before the row has an entity, so that no entity is without its key there. It stays when the
/// entity is erased, as the row does: removing it could race with the next create.
Task<> RedisRows::add_to_index(Ctx& ctx, std::string_view table, std::string_view key) {
  const std::string index = index_key(options_.prefix, table);
  const std::array<std::string_view, 4> words{"ZADD", index, "0", key};
  const auto added = co_await as_result(ask(ctx, words, Again::yes));
  if (!added.is_ok()) co_return told(added.status(), false);  // the row is as it was
  co_return ok;
}

// ---- scans

Task<std::vector<std::string>> RedisRows::keys_after(Ctx& ctx, std::string table, std::string after,
                                                     std::size_t limit) {
  const std::string index = index_key(options_.prefix, table);
  const std::string from = after.empty() ? "-" : "(" + after;
  const std::string count = std::to_string(limit);
  const std::array<std::string_view, 7> words{"ZRANGEBYLEX", index, from, "+", "LIMIT", "0", count};
  RedisReply reply = co_await ask(ctx, words, Again::yes);
  std::vector<std::string> keys;
  keys.reserve(reply.array.size());
  for (RedisReply& key : reply.array) keys.push_back(std::move(key.text));
  co_return keys;
}

/// A row that cannot be read must not hide the others.
Task<ScannedRow> RedisRows::scan_one(Ctx& ctx, RowRequest request) {
  ScannedRow row{request.key, {}, {}, false};
  Result<RowAnswer> read = co_await as_result(run(ctx, std::move(request)));
  row.is_damaged = read.status() == Errc::data_loss;
  if (!read.is_ok() && !row.is_damaged) co_return std::move(read).status();
  if (read.is_ok()) {
    row.head = std::move(read->head);
    row.fields = std::move(read->fields);
  }
  co_return row;
}

Task<RowPage> RedisRows::scan(Ctx& ctx, RowScan scan) {
  if (sha_.empty())
    co_return Status(Errc::unavailable, "database.redis: not started").not_executed();
  const Pending pending(*this, 0);
  RowPage page;
  std::size_t bytes = 0;
  std::string after = scan.after;
  for (;;) {
    const std::size_t wanted = std::min(scan.limit - page.rows.size(), kLargestChunk);
    std::vector<std::string> keys = co_await keys_after(ctx, scan.table, after, wanted);
    std::vector<Task<ScannedRow>> reads;
    reads.reserve(keys.size());
    for (const std::string& key : keys) {
      RowRequest request;
      request.kind = Kind::read;
      request.table = scan.table;
      request.key = key;
      request.select = scan.select;
      reads.push_back(scan_one(ctx, std::move(request)));
    }
    for (ScannedRow& row : co_await when_all(core_, std::move(reads))) {
      if (!row.head.exists && !row.is_damaged) continue;
      for (const StoredField& field : row.fields) bytes += field.bytes.size();
      page.rows.push_back(std::move(row));
    }
    if (keys.size() < wanted) co_return page;
    after = keys.back();
    if (page.rows.size() == scan.limit || bytes >= RowScan::kLargestPageBytes) {
      page.next = after;
      co_return page;
    }
  }
}

}  // namespace m3::redis_detail
