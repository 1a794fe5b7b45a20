// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <string>

#include "support/load.h"

namespace fault {

inline const std::string kOne = "dev.w.fault.1";
inline const std::string kTwo = "dev.w.fault.2";

inline bool failed(const Call& call) { return call.failed(); }
inline Filter by(const std::string& id) {
  return [id](const Call& call) { return call.by == id; };
}
inline Filter failed_after(TimePoint at) {
  return [at](const Call& call) { return call.failed() && call.begun > at; };
}

/// Both answer before anything is broken. False: they do not.
inline bool warm_up(Load& load) {
  const TimePoint begin = now();
  const bool good = load.answered_by(kOne, begin) != TimePoint::max() &&
                    load.answered_by(kTwo, begin) != TimePoint::max() && load.more_calls(200);
  const auto calls = load.calls();
  if (!good && !calls.empty()) std::printf("the last call: %s\n", calls.back().text.c_str());
  return good;
}

}  // namespace fault
