// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace m3 {

/// Kinds of errors, grouped by what the caller can do about them (docs/reference/errors.md has the
/// table). The numbers cross the wire: proto/m3/errc.proto is the same list.
enum class Errc : std::uint16_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
  moved = 17,
};

/// "invalid_argument"; "errc_42" for a number this version does not know.
std::string errc_name(Errc code);
/// The code with that number, Errc::unknown if this version has no such code.
Errc errc_from_number(std::uint32_t number);

/// `co_return m3::ok;`
struct Ok {};
inline constexpr Ok ok{};

/// The outcome of something that may fail. A plain value: moves, copies, compares by code.
/// Costs one pointer when it is OK; an error owns one heap block.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(Ok) noexcept {}  // NOLINT(google-explicit-constructor): `return m3::ok`
  /// `code` must not be Errc::ok.
  Status(Errc code, std::string text);
  Status(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(const Status& other);
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  /// "Not here, ask `owner`" (an app id). The caller follows it by itself; never executed.
  static Status moved(std::string owner, std::string text = "");

  bool is_ok() const noexcept { return rep_ == nullptr; }
  explicit operator bool() const noexcept { return is_ok(); }
  Errc code() const noexcept { return rep_ ? rep_->code : Errc::ok; }
  const std::string& text() const noexcept;
  /// The application's own number beside the code; 0 = none.
  std::int32_t app_code() const noexcept { return rep_ ? rep_->app_code : 0; }
  /// How long to wait before trying again; 0 = not set.
  std::chrono::milliseconds retry_after() const noexcept;
  /// With Errc::moved: the app id that owns the entity; else empty.
  const std::string& owner() const noexcept;
  /// False only when it is known that the call did not run (refused before its handler, or never
  /// sent).
  bool maybe_executed() const noexcept { return !rep_ || !rep_->not_executed; }

  /// These change an error and return it; on an OK status they do nothing.
  Status&& with_app_code(std::int32_t code) &&;
  Status&& with_retry_after(std::chrono::milliseconds wait) &&;
  Status&& not_executed() &&;
  /// For code that makes calls: "not executed" then describes only the call, not the work that made
  /// it. A not_executed() after it describes that work, too.
  Status&& of_callee() &&;
  /// For code that runs handlers: removes a "not executed" that describes only a callee.
  Status&& of_handler() &&;
  /// Puts `where` and ": " before the text; the code stays.
  Status&& add_context(std::string_view where) &&;

  /// "unavailable: no instance of dev.world1.hello"; "ok".
  std::string to_string() const;

  friend bool operator==(const Status& a, Errc b) noexcept { return a.code() == b; }

 private:
  struct Rep {
    Errc code;
    bool not_executed = false;
    bool about_callee = false;  // not_executed is
    std::int32_t app_code = 0;
    std::chrono::milliseconds retry_after{0};
    std::string text;
    std::string owner;
  };
  std::unique_ptr<Rep> rep_;
};

std::ostream& operator<<(std::ostream& out, const Status& status);
std::ostream& operator<<(std::ostream& out, Errc code);

}  // namespace m3
