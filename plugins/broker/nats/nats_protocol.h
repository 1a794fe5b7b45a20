// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// What a NATS server says: docs.nats.io, "Client Protocol".
struct NatsOp {
  enum class Kind : std::uint8_t { info, msg, ping, pong, ok, err };
  Kind kind = Kind::ok;
  std::string_view text;     ///< info: JSON; err: without its quotes
  std::string_view subject;  ///< msg: where it came
  std::uint64_t sid = 0;     ///< ... and by which subscription
  std::string_view headers;  ///< of HMSG, as they came
  std::string_view payload;
};

/// Cuts bytes into what the server says: views, no copy. Lives for one pass over what was read, as
/// FrameReader does (m3/wire/frame.h): keep the bytes from consumed() on.
class NatsReader {
 public:
  static constexpr std::size_t kMostLine = 256u << 10;  // an INFO of a large cluster

  NatsReader(std::string_view bytes, std::size_t max_payload)
      : bytes_(bytes), max_payload_(max_payload) {}
  /// Takes effect with the next operation.
  void set_max_payload(std::size_t bytes) { max_payload_ = bytes; }

  /// False: no whole operation is left, or failed().
  bool next(NatsOp& op);
  std::size_t consumed() const { return at_; }
  bool failed() const { return !status_; }
  /// invalid_argument: what was wrong at consumed(). Nothing after it can be read.
  const Status& status() const { return status_; }

 private:
  bool fail(std::string_view why);
  bool message(std::string_view line, bool has_headers, std::size_t body_at, NatsOp& op);

  std::string_view bytes_;
  std::size_t max_payload_;
  std::size_t at_ = 0;
  Status status_;
};

/// What CONNECT says.
struct NatsLogin {
  std::string name;
  std::string user, password, token;
};
std::string nats_connect(const NatsLogin& login);

/// The parts of INFO that matter here. invalid_argument: no JSON object, or parts of wrong types.
struct NatsInfo {
  std::size_t max_payload = 1u << 20;
  bool auth_required = false;
  bool tls_required = false;
};
Result<NatsInfo> parse_nats_info(std::string_view json);

}  // namespace m3
