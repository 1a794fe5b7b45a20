// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// The messages of a NATS server: docs.nats.io, "Client Protocol".
struct NatsOp {
  enum class Kind : std::uint8_t { info, msg, ping, pong, ok, err };
  Kind kind = Kind::ok;
  std::string_view text;     ///< info: JSON; err: without its quotes
  std::string_view subject;  ///< msg: its subject
  std::uint64_t sid = 0;     ///< ... and by which subscription
  std::string_view headers;  ///< of HMSG, as they came
  std::string_view payload;
};

/// Cuts bytes into the server's operations: views, no copy. Used for one pass over the read bytes,
/// like FrameReader (m3/wire/frame.h): keep the bytes from consumed() on.
class NatsReader {
 public:
  static constexpr std::size_t kMostLine = 256u << 10;  // an INFO of a large cluster
  /// The most that any NATS server transports. The max_payload of the connected server limits only
  /// what is sent to it: messages from another server of its cluster may be larger.
  static constexpr std::size_t kMostPayload = 64u << 20;

  explicit NatsReader(std::string_view bytes, std::size_t most_payload = kMostPayload)
      : bytes_(bytes), most_payload_(most_payload) {}

  /// False: no whole operation is left, or failed().
  bool next(NatsOp& op);
  std::size_t consumed() const { return at_; }
  /// How many bytes more complete the next message; 0: not known.
  std::size_t needed() const { return needed_; }
  bool failed() const { return !status_; }
  /// invalid_argument: what was wrong at consumed(). Nothing after it can be read.
  const Status& status() const { return status_; }

 private:
  bool fail(std::string_view why);
  bool message(std::string_view line, bool has_headers, std::size_t body_at, NatsOp& op);

  std::string_view bytes_;
  std::size_t most_payload_;
  std::size_t at_ = 0;
  std::size_t needed_ = 0;
  Status status_;
};

/// The subject of a -ERR, and its meaning for this connection.
struct NatsComplaint {
  /// connection: the server closes it.
  enum class About : std::uint8_t { connection, subscription, publish };
  About about = About::connection;
  Errc code = Errc::unavailable;
  std::string_view subject;  ///< of a publish; a view of the text
};
/// `text` without its quotes, as NatsOp has it.
NatsComplaint nats_complaint(std::string_view text);

/// The contents of CONNECT.
struct NatsLogin {
  std::string name;
  std::string user, password, token;
};
std::string nats_connect(const NatsLogin& login);

/// The parts of INFO that matter here. invalid_argument: not a JSON object, or parts of wrong
/// types.
struct NatsInfo {
  std::size_t max_payload = 1u << 20;
  bool auth_required = false;
  bool tls_required = false;
};
Result<NatsInfo> parse_nats_info(std::string_view json);

}  // namespace m3
