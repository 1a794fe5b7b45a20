// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// The longest part of an id.
inline constexpr std::size_t kMaxIdPart = 63;

/// True for a part of an id: 1 to 63 characters out of letters, digits, '-' and '_'.
/// (m3game let anything but a dot pass; blanks, slashes and control characters are refused here,
/// because ids become file names, topics, registry keys and log fields.)
bool is_id_part(std::string_view part) noexcept;

namespace base_detail {

/// `Parts` dotted parts in one string. Empty until parsed.
template <std::size_t Parts>
class DottedId {
 public:
  bool empty() const noexcept { return text_.empty(); }
  const std::string& to_string() const noexcept { return text_; }

  friend bool operator==(const DottedId& a, const DottedId& b) noexcept {
    return a.text_ == b.text_;
  }
  /// Byte order of the text: for maps. Routing uses instance_less().
  friend std::strong_ordering operator<=>(const DottedId& a, const DottedId& b) noexcept {
    return a.text_.compare(b.text_) <=> 0;
  }

 protected:
  DottedId() = default;
  explicit DottedId(std::string valid_text) : text_(std::move(valid_text)) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (text_[i] == '.') dots_[found++] = static_cast<std::uint8_t>(i);
  }

  std::string_view part(std::size_t index) const noexcept {
    if (text_.empty()) return {};
    std::size_t begin = index == 0 ? 0 : dots_[index - 1] + std::size_t{1};
    std::size_t end = index + 1 == Parts ? text_.size() : dots_[index];
    return std::string_view(text_).substr(begin, end - begin);
  }
  std::string_view first(std::size_t parts) const noexcept {
    return text_.empty() ? std::string_view() : std::string_view(text_).substr(0, dots_[parts - 1]);
  }

 private:
  std::string text_;
  std::array<std::uint8_t, Parts - 1> dots_{};  // where the dots are: 4 parts of 63 fit in a byte
};

}  // namespace base_detail

/// `env.world`: one partition of the players.
class WorldId : public base_detail::DottedId<2> {
 public:
  WorldId() = default;
  static Result<WorldId> parse(std::string_view text);
  std::string_view env() const noexcept { return part(0); }
  std::string_view world() const noexcept { return part(1); }

 private:
  friend class AppId;
  friend class ServiceId;
  using DottedId::DottedId;
};

/// `env.world.func`: all instances of one role.
class ServiceId : public base_detail::DottedId<3> {
 public:
  ServiceId() = default;
  static Result<ServiceId> parse(std::string_view text);
  std::string_view env() const noexcept { return part(0); }
  std::string_view world() const noexcept { return part(1); }
  std::string_view func() const noexcept { return part(2); }
  WorldId world_id() const { return WorldId(std::string(first(2))); }

 private:
  friend class AppId;
  using DottedId::DottedId;
};

/// `env.world.func.ins`: one running app.
class AppId : public base_detail::DottedId<4> {
 public:
  AppId() = default;
  /// An error's text says what is wrong with which part, and shows a good id.
  static Result<AppId> parse(std::string_view text);
  std::string_view env() const noexcept { return part(0); }
  std::string_view world() const noexcept { return part(1); }
  std::string_view func() const noexcept { return part(2); }
  std::string_view ins() const noexcept { return part(3); }
  ServiceId service_id() const { return ServiceId(std::string(first(3))); }
  WorldId world_id() const { return WorldId(std::string(first(2))); }

 private:
  using DottedId::DottedId;
};

/// The order in which Single routing takes the lowest instance: part by part, runs of digits as
/// numbers, so that `…role.9` comes before `…role.10` and `role-9` before `role-10`. A strict total
/// order. (m3game compared bytes, so instance 10 came before 9.)
bool instance_less(const AppId& a, const AppId& b) noexcept;
struct InstanceLess {
  bool operator()(const AppId& a, const AppId& b) const noexcept { return instance_less(a, b); }
};

std::ostream& operator<<(std::ostream& out, const AppId& id);
std::ostream& operator<<(std::ostream& out, const ServiceId& id);
std::ostream& operator<<(std::ostream& out, const WorldId& id);

}  // namespace m3

template <>
struct std::hash<m3::AppId> {
  std::size_t operator()(const m3::AppId& id) const noexcept {
    return std::hash<std::string>()(id.to_string());
  }
};
template <>
struct std::hash<m3::ServiceId> {
  std::size_t operator()(const m3::ServiceId& id) const noexcept {
    return std::hash<std::string>()(id.to_string());
  }
};
template <>
struct std::hash<m3::WorldId> {
  std::size_t operator()(const m3::WorldId& id) const noexcept {
    return std::hash<std::string>()(id.to_string());
  }
};
