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
  steps.add(Stage::listen, "address", [this](Ctx& ctx) { return write_address(ctx); });
}

Task<> Generation::agree(Ctx& ctx) {
  for (int tries = 0; tries < kMostTries; ++tries) {
    versions_.clear();
    std::string address;
    for (Database* database : app_.databases) {
      const auto row = co_await as_result(database->read(ctx, kTable, app_.id.to_string()));
      if (!row.is_ok() && row.status() != Errc::not_found) co_return row.status();
      store::AppStart last;
      if (row.is_ok() && !last.ParseFromString(join(row->fields)))
        co_return Status(Errc::data_loss, fmt::format("the row of {} in {} cannot be read",
                                                      app_.id.to_string(), kTable));
      versions_.push_back(row.is_ok() ? row->head.version : 0);
      if (last.run() == app_.run_id) continue;  // of an earlier attempt of this start
      if (last.generation() >= number_) address = last.address();
      if (address.empty()) address = last.address();
      number_ = std::max(number_, last.generation() + 1);
    }
    if (!address.empty()) co_await refuse_twin(ctx, std::move(address));
    const Status written = (co_await as_result(write(ctx))).status();
    if (written != Errc::aborted) {
      if (written) app_.set_number(number_);
      co_return written;
    }
  }
  co_return Status(Errc::already_exists,
                   fmt::format("{} is being started several times at once: give each its own id",
                               app_.id.to_string()));
}

/// The last start of this id stored its address. If an app with this id answers there, it is still
/// running.
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

Task<> Generation::write(Ctx& ctx) {
  store::AppStart start;
  start.set_id(app_.id.to_string());
  start.set_generation(number_);
  start.set_run(app_.run_id);
  const HostPort address = app_.address();
  told_address_ = address.port == 0 ? "" : address.to_string();
  start.set_address(told_address_);
  for (std::size_t i = 0; i < app_.databases.size(); ++i) {
    Database& database = *app_.databases[i];
    StoredFields fields = encode(start);
    Status written;
    if (versions_[i] == 0) {
      const auto made =
          co_await as_result(database.create(ctx, kTable, start.id(), std::move(fields)));
      written = made.status();
      if (made.is_ok()) versions_[i] = *made;
    } else {
      const auto made = co_await as_result(
          database.update(ctx, kTable, start.id(), std::move(fields), versions_[i]));
      written = made.status();
      if (made.is_ok()) versions_[i] = *made;
    }
    const bool was_changed =
        written == Errc::aborted || written == Errc::already_exists || written == Errc::not_found;
    if (was_changed) co_return Status(Errc::aborted, "another start was written");
    if (!written) co_return written;
  }
  co_return ok;
}

/// Stores the address again once the port is known, which the system may have chosen.
Task<> Generation::write_address(Ctx& ctx) {
  const HostPort address = app_.address();
  if (address.port == 0 || address.to_string() == told_address_) co_return ok;
  const Status written = (co_await as_result(write(ctx))).status();
  if (written == Errc::aborted)
    co_return Status(Errc::already_exists,
                     app_.id.to_string() + " was started again meanwhile: give each its own id");
  co_return written;
}

}  // namespace m3::app_detail
