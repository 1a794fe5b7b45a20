// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/call_frame.h"

#include "m3/rpc/call_op.h"
#include "m3/wire/metadata_codec.h"

namespace m3::rpc_detail {

std::optional<Metadata> request_metadata_of(const Ctx& ctx, const MethodInfo& method,
                                            const Route& route) {
  const bool has_trace = method.trace && !ctx.traceparent().empty();
  const bool has_actor = route.mode() == RouteMode::actor;
  if (!ctx.outgoing() && !has_trace && !has_actor) return std::nullopt;
  Metadata metadata;
  if (ctx.outgoing()) metadata = *ctx.outgoing();
  if (has_trace) metadata.traceparent = std::string(ctx.traceparent());
  if (has_actor) metadata.actor_id = route.key();
  return metadata;
}

Status circle_status(const MethodInfo& method) {
  return Status(Errc::failed_precondition,
                "calls form a cycle: " + std::to_string(kMostHops) +
                    " calls, each made by the previous one, have led to " +
                    std::string(method.full_name))
      .not_executed();
}

void write_call(char* to, const FrameHeader& header, const std::optional<Metadata>& metadata,
                std::size_t meta, const google::protobuf::MessageLite& message, std::size_t body) {
  write_header(to, header, meta, body);
  if (meta) encode_metadata(*metadata, to + kFrameHeaderSize);
  message.SerializeWithCachedSizesToArray(
      reinterpret_cast<std::uint8_t*>(to + kFrameHeaderSize + meta));
}

std::string encode_notify(const Ctx& ctx, const MethodInfo& method,
                          const google::protobuf::MessageLite& message, const Route& route) {
  const std::optional<Metadata> metadata = request_metadata_of(ctx, method, route);
  const std::size_t meta = metadata ? encoded_metadata_size(*metadata) : 0;
  const std::size_t body = message.ByteSizeLong();
  std::string frame(frame_size(meta, body), '\0');
  FrameHeader header;
  header.kind = FrameKind::notify;
  header.method = method.hash;
  header.flags = static_cast<std::uint8_t>(ctx.facts().hops << kHopsShift);
  write_call(frame.data(), header, metadata, meta, message, body);
  return frame;
}

}  // namespace m3::rpc_detail
