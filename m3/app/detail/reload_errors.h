// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "m3/base/status.h"
#include "m3/obs/log.h"

namespace m3::app_detail {

/// The outcome of a reload in which every part is called: every error is logged, the first one is
/// kept.
class ReloadErrors {
 public:
  /// `whose`: the plugin or service that could not take the change; may be empty.
  void note(Status status, std::string_view whose = {}) {
    if (status) return;
    if (!whose.empty()) status = std::move(status).add_context(std::string(whose));
    log::error("reload: {}", status.to_string());
    keep(std::move(status));
  }
  /// One that was logged already.
  void keep(Status status) {
    if (first_) first_ = std::move(status);
  }
  const Status& first() const noexcept { return first_; }

 private:
  Status first_;
};

}  // namespace m3::app_detail
