// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace m3::rpc_detail {

/// Routes what protobuf itself reports (a peer sent a string that is not UTF-8) into m3's log, cut
/// and limited, where it would go to stderr for each message. It belongs to the process; the first
/// RpcNode does it. protobuf 22 and newer have no such hook: there its lines stay on stderr.
void route_protobuf_log();

}  // namespace m3::rpc_detail
