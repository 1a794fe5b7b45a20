// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/host_port.h"
#include "m3/mesh/mesh.h"
#include "m3/plugin/database.h"
#include "m3/plugin/steps.h"

namespace m3::app_detail {

/// The number of this start among all starts of its app id, by which rows distinguish their owner
/// from an earlier start. It is the clock's time, nanoseconds since 1970, but above the last one
/// stored in any database of the app: so it grows even if the clock goes back, or one of the
/// databases is lost. Without a database it is only the clock's time. Core 0.
class Generation final : public Part {
 public:
  /// Objects that outlive it.
  struct App {
    AppId id;
    std::uint64_t run_id = 0;
    Mesh& mesh;
    std::vector<Database*> databases;
    std::function<HostPort()> address;  ///< of its calls; port 0: not known yet, or none
    std::function<void(std::uint64_t)> set_number;  ///< before the app can be called
  };
  Generation(App app, std::uint64_t from_clock) : app_(std::move(app)), number_(from_clock) {}

  /// Called when the mesh can probe others, before services are ready. already_exists: an earlier
  /// start of this id is running.
  void steps(Steps& steps) override;

 private:
  /// What a database says of the last start, and the version of its row; 0: it has none.
  struct Found {
    std::uint64_t version = 0;
    std::uint64_t generation = 0;
    std::string address;
    bool is_mine = false;  // written by this start
  };

  Task<> agree(Ctx& ctx);
  Task<Found> read(Ctx& ctx, Database& database);
  Task<> refuse_twin(Ctx& ctx, std::string address);
  /// aborted: another start was written meanwhile.
  Task<> write(Ctx& ctx, Database& database, std::uint64_t version);
  Task<> confirm(Ctx& ctx);
  std::string address() const;

  const App app_;
  std::uint64_t number_;
};

}  // namespace m3::app_detail
