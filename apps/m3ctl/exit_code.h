// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/base/status.h"

namespace m3ctl {

/// Exit codes that tell a script what it can do next: the groups of docs/reference/errors.md.
enum ExitCode : int {
  kDone = 0,
  kFixTheCall = 2,
  kLookAtState = 3,
  kTryElsewhere = 4,
  kTryLater = 5,
  kGaveUp = 6,
};

constexpr ExitCode exit_code(m3::Errc code) {
  switch (code) {
    case m3::Errc::ok:
      return kDone;
    case m3::Errc::invalid_argument:
    case m3::Errc::failed_precondition:
    case m3::Errc::unimplemented:
    case m3::Errc::unauthenticated:
    case m3::Errc::permission_denied:
      return kFixTheCall;
    case m3::Errc::not_found:
    case m3::Errc::already_exists:
    case m3::Errc::aborted:
    case m3::Errc::moved:
      return kLookAtState;
    case m3::Errc::unavailable:
      return kTryElsewhere;
    case m3::Errc::resource_exhausted:
      return kTryLater;
    default:
      return kGaveUp;
  }
}

}  // namespace m3ctl
