// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "m3/obs/log.h"
#include "m3/store.pb.h"

namespace m3::app_detail {
namespace {

constexpr auto kTable = "_app";
/// Two starts of one id that write at the same time see each other's row at the next attempt.
constexpr int kMostTries = 10;

StoredFields encode(const store::AppStart& start) {
  StoredFields fields;
  (void)split(start.SerializeAsString(), fields);
  return fields;
}

}  // namespace

void Generation::steps(Steps& steps) {
  if (app_.databases.empty()) return;
  steps.add(Stage::mesh, "generation", [this](Ctx& ctx) { return agree(ctx); });
  steps.add(Stage::listen, "generation's address", [this](Ctx& ctx) { return confirm(ctx); });
}

Task<> Generation::agree(Ctx& ctx) {
  for (int tries = 0; tries < kMostTries; ++tries) {
    std::vector<std::uint64_t> versions;
    Found newest;
    for (Database* database : app_.databases) {
      Found last = co_await read(ctx, *database);
      versions.push_back(last.version);
      if (last.is_mine) continue;  // written by a try before this one
      number_ = std::max(number_, last.generation + 1);
      // A database that was restored may name an older start.
      if (last.generation >= newest.generation) newest = std::move(last);
    }
    if (!newest.address.empty()) co_await refuse_twin(ctx, std::move(newest.address));
    Status written;
    for (std::size_t i = 0; i < versions.size() && written; ++i)
      written = (co_await as_result(write(ctx, *app_.databases[i], versions[i]))).status();
    if (written != Errc::aborted) {
      if (written) app_.set_number(number_);
      co_return written;
    }
  }
  co_return Status(Errc::already_exists,
                   fmt::format("{} is being started several times at once: give each an id of its "
                               "own",
                               app_.id.to_string()));
}

Task<Generation::Found> Generation::read(Ctx& ctx, Database& database) {
  const auto row = co_await as_result(database.read(ctx, kTable, app_.id.to_string()));
  Found found;
  if (row.status() == Errc::not_found) co_return found;
  if (!row.is_ok()) co_return row.status();
  store::AppStart last;
  if (!last.ParseFromString(join(row->fields)))
    co_return Status(Errc::data_loss, fmt::format("the row of {} in the table {} cannot be read",
                                                  app_.id.to_string(), kTable));
  found.version = row->head.version;
  found.generation = last.generation();
  found.address = last.address();
  found.is_mine = last.run() == app_.run_id;
  co_return found;
}

/// The last start of this id left its address. Whoever answers there under this id is alive.
Task<> Generation::refuse_twin(Ctx& ctx, std::string address) {
  Result<HostPort> where = HostPort::parse(address);
  if (!where.is_ok() || where->port == 0) co_return ok;
  Member last;
  last.id = app_.id;
  last.address = *std::move(where);
  const auto report = co_await as_result(app_.mesh.report_from(ctx, last));
  if (!report.is_ok()) co_return ok;
  co_return Status(Errc::already_exists,
                   fmt::format("{} is already running at {}: stop it, or give this one another id",
                               app_.id.to_string(), address));
}

std::string Generation::address() const {
  const HostPort address = app_.address();
  return address.port == 0 ? "" : address.to_string();
}

Task<> Generation::write(Ctx& ctx, Database& database, std::uint64_t version) {
  store::AppStart start;
  start.set_id(app_.id.to_string());
  start.set_generation(number_);
  start.set_run(app_.run_id);
  start.set_address(address());
  Status written;
  if (version == 0)
    written =
        (co_await as_result(database.create(ctx, kTable, start.id(), encode(start)))).status();
  else
    written = (co_await as_result(database.update(ctx, kTable, start.id(), encode(start), version)))
                  .status();
  const bool was_changed =
      written == Errc::aborted || written == Errc::already_exists || written == Errc::not_found;
  if (was_changed) co_return Status(Errc::aborted, "another start was written");
  co_return written;
}

/// Now the port is known, and others can ask this start whether it is alive. Whoever has started
/// under this id in between did not find it, and is the later one.
Task<> Generation::confirm(Ctx& ctx) {
  for (Database* database : app_.databases) {
    const Found last = co_await read(ctx, *database);
    Status written;
    if (last.is_mine && last.address != address())
      written = (co_await as_result(write(ctx, *database, last.version))).status();
    if (!last.is_mine || written == Errc::aborted)
      co_return Status(Errc::already_exists,
                       fmt::format("{} was started a second time meanwhile: give each an id of "
                                   "its own",
                                   app_.id.to_string()));
    if (!written) co_return written;
  }
  co_return ok;
}

}  // namespace m3::app_detail
