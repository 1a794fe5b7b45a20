// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

#include "m3/base/status.h"

namespace m3 {

/// A T, or the Status with the reason why there is none. Moves and copies as T does. Reading
/// value() of an error is a bug (asserted).
template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, Status>, "use Status itself");

 public:
  using value_type = T;

  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  /// `status` must be an error; an OK one becomes Errc::internal.
  Result(Status status)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>,
               status.is_ok() ? Status(Errc::internal, "an OK status where a value was expected")
                              : std::move(status)) {}

  bool is_ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return is_ok(); }

  T& value() & { return check(), *std::get_if<0>(&state_); }
  const T& value() const& { return check(), *std::get_if<0>(&state_); }
  T&& value() && { return check(), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) && { return is_ok() ? std::move(*this).value() : std::move(other); }

  /// OK when there is a value.
  Status status() const& { return is_ok() ? Status() : *std::get_if<1>(&state_); }
  Status status() && { return is_ok() ? Status() : std::move(*std::get_if<1>(&state_)); }
  Errc code() const noexcept { return is_ok() ? Errc::ok : std::get_if<1>(&state_)->code(); }

 private:
  void check() const { assert(is_ok() && "value() of a Result that holds an error"); }
  std::variant<T, Status> state_;
};

/// Returned by an operation that can fail and has no value.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Ok) {}                                          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool is_ok() const noexcept { return status_.is_ok(); }
  explicit operator bool() const noexcept { return is_ok(); }
  void value() const { assert(is_ok()); }
  void operator*() const { value(); }
  Status status() const& { return status_; }
  Status status() && { return std::move(status_); }
  Errc code() const noexcept { return status_.code(); }

 private:
  Status status_;
};

}  // namespace m3
