// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <utility>

#include "m3/testing/catch.h"
#include "m3/testing/real_service.h"

namespace m3::testing {

/// A RealService that answers. If it is not installed or does not start, the test case fails and
/// names the package to install.
inline std::unique_ptr<RealService> require_service(RealService::Kind kind,
                                                    RealService::Options options = {}) {
  INFO(RealService::how_to_install(kind));
  REQUIRE(RealService::installed(kind));
  auto started = RealService::start(kind, std::move(options));
  INFO(started.status().to_string());
  REQUIRE(started.is_ok());
  return *std::move(started);
}

}  // namespace m3::testing
