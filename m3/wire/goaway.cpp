// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/goaway.h"

#include <algorithm>
#include <chrono>

#include "m3/base/cut_text.h"
#include "m3/base/metadata.h"
#include "m3/wire.pb.h"
#include "m3/wire/frame.h"

namespace m3 {
namespace {

constexpr std::size_t kMostText = 1024;

}  // namespace

std::string encode_goaway(const Status& reason, bool drain) {
  const MetadataStatus said = MetadataStatus::from(reason);
  wire::Goaway message;
  message.set_drain(drain);
  wire::Status& status = *message.mutable_status();
  status.set_code(static_cast<wire::Errc>(said.code));
  status.set_app_code(said.app_code);
  status.set_retry_after_ms(said.retry_after_ms);
  status.set_text(std::string(text_start(said.text, kMostText)));
  status.set_owner(std::string(text_start(said.owner, kMostText)));

  const std::size_t size = message.ByteSizeLong();
  std::string frame(frame_size(0, size), '\0');
  FrameHeader header;
  header.kind = FrameKind::goaway;
  write_header(frame.data(), header, 0, size);
  message.SerializeWithCachedSizesToArray(
      reinterpret_cast<std::uint8_t*>(frame.data() + kFrameHeaderSize));
  return frame;
}

Result<Goaway> decode_goaway(std::string_view body) {
  wire::Goaway message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return Status(Errc::invalid_argument, "the body of a goaway is not a valid m3.wire.Goaway");
  }
  const wire::Status& said = message.status();
  const auto code = static_cast<std::uint32_t>(said.code());
  MetadataStatus status;
  status.code = code == 0 ? static_cast<std::uint32_t>(Errc::unavailable) : code;
  status.app_code = said.app_code();
  status.retry_after_ms = said.retry_after_ms();
  status.text = cut_text(said.text(), kMostText);
  status.owner = text_start(said.owner(), kMostText);
  Goaway out;
  out.reason = status.to_status();
  out.drain = message.drain();
  return out;
}

}  // namespace m3
