// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3 {

/// Call this first in main() of a program with sockets, before it opens anything; App::run calls it
/// itself. If standard input, output or error are closed it opens /dev/null there, because the next
/// socket would get their number and a log line would be sent to a peer. It ignores SIGPIPE, unless
/// the program handles it: writing to a closed pipe is then an error and does not end the process.
void prepare_process() noexcept;

}  // namespace m3
