// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/database.h"

#include <utility>

namespace m3 {
namespace {

using Kind = RowRequest::Kind;

RowRequest request_of(Kind kind, std::string table, std::string key) {
  RowRequest request;
  request.kind = kind;
  request.table = std::move(table);
  request.key = std::move(key);
  return request;
}

}  // namespace

Status to_status(const RowRequest& request, const RowAnswer& answer) {
  const std::string row = request.table + " '" + request.key + "'";
  const auto nothing_done = [](Errc code, std::string text) -> Status {
    return Status(code, std::move(text)).not_executed().of_callee();
  };
  switch (answer.verdict) {
    case RowVerdict::done:
      return ok;
    case RowVerdict::not_found:
      return nothing_done(Errc::not_found, "there is no " + row);
    case RowVerdict::already_exists:
      return nothing_done(Errc::already_exists, row + " exists");
    case RowVerdict::version_differs:
      return nothing_done(Errc::aborted,
                          row + " has version " + std::to_string(answer.head.version) + ", not " +
                              std::to_string(request.version.value_or(0)) + ": read it again");
    case RowVerdict::owned:
      return nothing_done(Errc::failed_precondition,
                          row + " belongs to an actor (owner: " + answer.head.owner.to_string() +
                              "): call the actor instead of writing the row");
    case RowVerdict::held:
    case RowVerdict::fenced:
      return nothing_done(Errc::moved, row + " is owned by " + answer.head.owner.to_string());
  }
  return Status(Errc::internal, "an unknown verdict");
}

/// The store is another service's word: that it has not run says nothing of the handler that asked.
Task<RowAnswer> Database::step(Ctx& ctx, RowRequest request) {
  if (Status good = check_request(request); !good)
    co_return std::move(good).not_executed().of_callee();
  Result<RowAnswer> answer = co_await as_result(run(ctx, std::move(request)));
  if (!answer.is_ok()) co_return std::move(answer).status().of_callee();
  co_return *std::move(answer);
}

/// A step whose verdict is an error unless it is `done`.
Task<RowAnswer> Database::must(Ctx& ctx, RowRequest request) {
  RowRequest brief = request_of(request.kind, request.table, request.key);
  brief.version = request.version;
  RowAnswer answer = co_await step(ctx, std::move(request));
  if (Status done = to_status(brief, answer); !done) co_return done;
  co_return answer;
}

Task<Database::Row> Database::read(Ctx& ctx, std::string table, std::string key,
                                   std::vector<std::uint32_t> select) {
  RowRequest request = request_of(Kind::read, std::move(table), std::move(key));
  request.select = std::move(select);
  RowAnswer answer = co_await must(ctx, std::move(request));
  co_return Row{std::move(answer.head), std::move(answer.fields)};
}

Task<std::uint64_t> Database::create(Ctx& ctx, std::string table, std::string key,
                                     StoredFields fields) {
  RowRequest request = request_of(Kind::create, std::move(table), std::move(key));
  request.fields = std::move(fields);
  const RowAnswer answer = co_await must(ctx, std::move(request));
  co_return answer.head.version;
}

Task<std::uint64_t> Database::update(Ctx& ctx, std::string table, std::string key,
                                     StoredFields fields, std::optional<std::uint64_t> version) {
  RowRequest request = request_of(Kind::update, std::move(table), std::move(key));
  request.fields = std::move(fields);
  request.version = version;
  const RowAnswer answer = co_await must(ctx, std::move(request));
  co_return answer.head.version;
}

Task<> Database::erase(Ctx& ctx, std::string table, std::string key,
                       std::optional<std::uint64_t> version) {
  RowRequest request = request_of(Kind::erase, std::move(table), std::move(key));
  request.version = version;
  (void)co_await must(ctx, std::move(request));
  co_return ok;
}

Task<RowPage> Database::scan(Ctx& ctx, RowScan scan) {
  if (!is_table_name(scan.table))
    co_return Status(Errc::invalid_argument, "'" + scan.table + "' is not the name of a table");
  if (scan.limit == 0 || scan.limit > RowScan::kLargestPage)
    co_return Status(Errc::invalid_argument, "a page has 1 to " +
                                                 std::to_string(RowScan::kLargestPage) +
                                                 " rows, not " + std::to_string(scan.limit));
  Result<RowPage> page = co_await as_result(scan_rows(ctx, std::move(scan)));
  if (!page.is_ok()) co_return std::move(page).status().of_callee();
  co_return *std::move(page);
}

}  // namespace m3
