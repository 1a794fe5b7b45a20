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
  switch (answer.verdict) {
    case RowVerdict::done:
      return ok;
    case RowVerdict::not_found:
      return Status(Errc::not_found, "there is no " + row);
    case RowVerdict::already_exists:
      return Status(Errc::already_exists, row + " exists");
    case RowVerdict::version_differs:
      return Status(Errc::aborted, row + " has version " + std::to_string(answer.head.version) +
                                       ", not " + std::to_string(request.version.value_or(0)) +
                                       ": read it again");
    case RowVerdict::owned:
      return Status(Errc::failed_precondition,
                    row + " belongs to an actor (owner: " + answer.head.owner.to_string() +
                        "): call the actor instead of writing the row");
    case RowVerdict::held:
    case RowVerdict::fenced: {
      Status moved(Errc::moved, row + " is owned by " + answer.head.owner.to_string());
      return moved;
    }
  }
  return Status(Errc::internal, "an unknown verdict");
}

Task<RowAnswer> Database::step(Ctx& ctx, RowRequest request) {
  if (Status good = check_request(request); !good) co_return good;
  co_return co_await run(ctx, std::move(request));
}

Task<Database::Row> Database::read(Ctx& ctx, std::string table, std::string key,
                                   std::vector<std::uint32_t> select) {
  RowRequest request = request_of(Kind::read, std::move(table), std::move(key));
  request.select = std::move(select);
  RowAnswer answer = co_await step(ctx, request);
  if (Status found = to_status(request, answer); !found) co_return found;
  co_return Row{std::move(answer.head), std::move(answer.fields)};
}

Task<std::uint64_t> Database::create(Ctx& ctx, std::string table, std::string key,
                                     StoredFields fields) {
  RowRequest request = request_of(Kind::create, std::move(table), std::move(key));
  request.fields = std::move(fields);
  const RowAnswer answer = co_await step(ctx, request);
  if (Status made = to_status(request, answer); !made) co_return made;
  co_return answer.head.version;
}

Task<std::uint64_t> Database::update(Ctx& ctx, std::string table, std::string key,
                                     StoredFields fields, std::optional<std::uint64_t> version) {
  RowRequest request = request_of(Kind::update, std::move(table), std::move(key));
  request.fields = std::move(fields);
  request.version = version;
  const RowAnswer answer = co_await step(ctx, request);
  if (Status written = to_status(request, answer); !written) co_return written;
  co_return answer.head.version;
}

Task<> Database::erase(Ctx& ctx, std::string table, std::string key,
                       std::optional<std::uint64_t> version) {
  RowRequest request = request_of(Kind::erase, std::move(table), std::move(key));
  request.version = version;
  const RowAnswer answer = co_await step(ctx, request);
  co_return to_status(request, answer);
}

Task<RowPage> Database::scan(Ctx& ctx, RowScan scan) {
  if (!is_table_name(scan.table))
    co_return Status(Errc::invalid_argument, "'" + scan.table + "' is not the name of a table");
  if (scan.limit == 0 || scan.limit > RowScan::kLargestPage)
    co_return Status(Errc::invalid_argument, "a page has 1 to " +
                                                 std::to_string(RowScan::kLargestPage) +
                                                 " rows, not " + std::to_string(scan.limit));
  co_return co_await scan_rows(ctx, std::move(scan));
}

}  // namespace m3
