// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/protobuf_log.h"

#include <google/protobuf/stubs/common.h>

#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>

#include <string>

#include "m3/base/cut_text.h"
#include "m3/obs/log.h"
#endif

namespace m3::rpc_detail {

#if GOOGLE_PROTOBUF_VERSION < 4022000

namespace {

void on_line(google::protobuf::LogLevel level, const char* file, int line,
             const std::string& text) {
  switch (level) {
    case google::protobuf::LOGLEVEL_INFO:
      return log::info_limited("protobuf: {}", text);
    case google::protobuf::LOGLEVEL_WARNING:
      return log::warn_limited("protobuf: {}", text);
    case google::protobuf::LOGLEVEL_ERROR:
      return log::error_limited("protobuf: {}", text);
    case google::protobuf::LOGLEVEL_FATAL:  // protobuf ends the process after it
      log::error("protobuf at {}:{}: {}", file, line, cut_text(text));
      return log::flush();
  }
}

}  // namespace

void route_protobuf_log() {
  [[maybe_unused]] static google::protobuf::LogHandler* const before =
      google::protobuf::SetLogHandler(&on_line);
}

#else

void route_protobuf_log() {}

#endif

}  // namespace m3::rpc_detail
