// SPDX-License-Identifier: BSL-1.0
#include "m3/async/asio.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace m3 {

Status to_status(const boost::system::error_code& error) {
  namespace net = boost::asio::error;
  if (!error) return {};
  Errc code = Errc::unavailable;
  if (error == net::operation_aborted)
    code = Errc::cancelled;
  else if (error == net::timed_out)
    code = Errc::deadline_exceeded;
  else if (error == net::no_descriptors || error == net::no_memory || error == net::no_buffer_space)
    code = Errc::resource_exhausted;
  else if (error == net::invalid_argument || error == net::address_family_not_supported)
    code = Errc::invalid_argument;
  else if (error == net::access_denied)
    code = Errc::permission_denied;
  else if (error == net::address_in_use)
    code = Errc::already_exists;
  std::string text = error.message();
  if (error == net::no_descriptors) text += " (raise the limit of open files: ulimit -n)";
  return Status(code, std::move(text));
}

}  // namespace m3
