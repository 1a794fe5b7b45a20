// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3 {

/// What a program with sockets does first in main(), before it opens anything; App::run does it
/// itself. Where standard input, output or error are closed it puts /dev/null, because the next
/// socket would get their number and a log line would go to a peer. It ignores SIGPIPE, unless the
/// program handles it: writing to a reader that is gone is an error and does not end the process.
void prepare_process() noexcept;

}  // namespace m3
