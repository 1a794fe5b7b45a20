// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "apps/m3ctl/options.h"
#include "m3/admin.pb.h"
#include "m3/base/status.h"

namespace m3ctl {

/// Brings the one instance that the options name into a state, and prints what became of it.
m3::Status set_state(const Options& options, m3::admin::MemberState state);

}  // namespace m3ctl
