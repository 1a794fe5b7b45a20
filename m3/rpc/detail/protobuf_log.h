// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3::rpc_detail {

/// Routes protobuf's own reports (a peer sent a string that is not UTF-8) into m3's log, cut and
/// limited; otherwise each would be written to stderr. It is per process; the first RpcNode
/// installs it. protobuf 22 and newer have no such hook: there its lines stay on stderr.
void route_protobuf_log();

}  // namespace m3::rpc_detail
