// SPDX-License-Identifier: BSL-1.0
#include "m3/base/status.h"

#include <ostream>
#include <utility>

namespace m3 {
namespace {

const std::string& empty_string() {
  static const std::string empty;
  return empty;
}

const char* known_name(Errc code) {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::cancelled:
      return "cancelled";
    case Errc::unknown:
      return "unknown";
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::deadline_exceeded:
      return "deadline_exceeded";
    case Errc::not_found:
      return "not_found";
    case Errc::already_exists:
      return "already_exists";
    case Errc::permission_denied:
      return "permission_denied";
    case Errc::resource_exhausted:
      return "resource_exhausted";
    case Errc::failed_precondition:
      return "failed_precondition";
    case Errc::aborted:
      return "aborted";
    case Errc::unimplemented:
      return "unimplemented";
    case Errc::internal:
      return "internal";
    case Errc::unavailable:
      return "unavailable";
    case Errc::data_loss:
      return "data_loss";
    case Errc::unauthenticated:
      return "unauthenticated";
    case Errc::moved:
      return "moved";
  }
  return nullptr;
}

}  // namespace

std::string errc_name(Errc code) {
  if (const char* name = known_name(code)) return name;
  return "errc_" + std::to_string(static_cast<unsigned>(code));
}

Errc errc_from_number(std::uint32_t number) {
  if (number > 0xffff) return Errc::unknown;
  auto code = static_cast<Errc>(number);
  return known_name(code) ? code : Errc::unknown;
}

Status::Status(Errc code, std::string text) : rep_(std::make_unique<Rep>()) {
  rep_->code = code == Errc::ok ? Errc::internal : code;
  rep_->text = std::move(text);
}

Status::Status(const Status& other)
    : rep_(other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) rep_ = other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr;
  return *this;
}

Status Status::moved(std::string owner, std::string text) {
  Status status(Errc::moved, std::move(text));
  status.rep_->owner = std::move(owner);
  status.rep_->not_executed = true;
  return status;
}

const std::string& Status::text() const noexcept { return rep_ ? rep_->text : empty_string(); }

std::chrono::milliseconds Status::retry_after() const noexcept {
  return rep_ ? rep_->retry_after : std::chrono::milliseconds(0);
}

const std::string& Status::owner() const noexcept { return rep_ ? rep_->owner : empty_string(); }

Status&& Status::with_app_code(std::int32_t code) && {
  if (rep_) rep_->app_code = code;
  return std::move(*this);
}

Status&& Status::with_retry_after(std::chrono::milliseconds wait) && {
  if (rep_) rep_->retry_after = wait;
  return std::move(*this);
}

Status&& Status::not_executed() && {
  if (rep_) {
    rep_->not_executed = true;
    rep_->about_callee = false;
  }
  return std::move(*this);
}

Status&& Status::of_callee() && {
  if (rep_) rep_->about_callee = true;
  return std::move(*this);
}

Status&& Status::of_handler() && {
  if (rep_ && std::exchange(rep_->about_callee, false)) rep_->not_executed = false;
  return std::move(*this);
}

Status&& Status::add_context(std::string_view where) && {
  if (rep_) rep_->text = std::string(where) + ": " + rep_->text;
  return std::move(*this);
}

std::string Status::to_string() const {
  if (is_ok()) return "ok";
  std::string out = errc_name(code());
  if (!text().empty()) out += ": " + text();
  if (!owner().empty()) out += " (owner " + owner() + ")";
  return out;
}

std::ostream& operator<<(std::ostream& out, const Status& status) {
  return out << status.to_string();
}
std::ostream& operator<<(std::ostream& out, Errc code) { return out << errc_name(code); }

}  // namespace m3
