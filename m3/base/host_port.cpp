// SPDX-License-Identifier: BSL-1.0
#include "m3/base/host_port.h"

#include <charconv>

namespace m3 {

namespace {

Status wrong_address(std::string_view text, std::string_view why) {
  return Status(Errc::invalid_argument, "address \"" + std::string(text) +
                                            "\": " + std::string(why) +
                                            ", write host:port, like 127.0.0.1:20051");
}

}  // namespace

Result<HostPort> HostPort::parse(std::string_view text) {
  const auto wrong = [&](std::string_view why) { return wrong_address(text, why); };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("the port is missing");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return wrong("write an IPv6 address in brackets");
  if (host.empty()) return wrong("the host is missing");
  if (host == "*") return wrong("write 0.0.0.0 or [::] for every address of this machine");
  if (host.find_first_of("[]/@ \t\r\n") != std::string_view::npos)
    return wrong("the host is neither a name nor an IP address");
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port > 65535)
    return wrong("the port is not a number from 0 to 65535");
  HostPort out;
  out.host = std::string(host);
  out.port = static_cast<std::uint16_t>(port);
  return out;
}

Result<HostPort> HostPort::parse_remote(std::string_view text) {
  auto out = parse(text);
  if (out.is_ok() && out->port == 0) return wrong_address(text, "port 0 cannot be connected to");
  return out;
}

std::string HostPort::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool is_loopback(std::string_view host) noexcept {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

}  // namespace m3
