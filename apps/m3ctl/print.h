// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "m3/async/clock.h"
#include "m3/base/status.h"

namespace m3ctl {

/// Columns as wide as their widest cell, two spaces between them; the first row is the head.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// "0.21 ms", "1.50 s".
std::string show_time(m3::Nanos time);

/// "error: not_found: no such role" and what the user can do about it.
std::string show_error(const m3::Status& status);
/// {"code":"not_found","text":"no such role", …, "exit":3}
std::string error_json(const m3::Status& status);
/// The output of a command with --json that has only an error: {"ok":false,"error":{…}}
std::string error_line(const m3::Status& status);

}  // namespace m3ctl
