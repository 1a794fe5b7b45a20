// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "m3/base/member.h"

namespace m3 {

/// What has become of one instance, as the mesh believes: a registry's forgetting alone is no news
/// while the instance answers.
struct MemberEvent {
  enum class Kind : std::uint8_t {
    up,          ///< it is there; also each that was there when the observer came
    changed,     ///< the same start says something else: its state, weight, address, health
    gone,        ///< it is no longer there; nobody else has its id so far
    superseded,  ///< another start has taken the id of `before`, which is over
    back,        ///< the very start that was reported as gone is there again
  };
  Kind kind = Kind::up;
  Member member;                 ///< as it is now; of one that is gone as it was last
  std::optional<Member> before;  ///< changed, superseded: what it was
};
std::string_view member_event_name(MemberEvent::Kind kind) noexcept;

using MemberObserver = std::function<void(const MemberEvent&)>;

/// An observer's place (Mesh::observe). Moves; nothing is delivered once it is destroyed, not even
/// when the observer itself destroys it. Core 0; may outlive the mesh. The observer is destroyed a
/// little later.
class [[nodiscard("nothing is delivered once it is destroyed")]] MemberWatch {
 public:
  MemberWatch() noexcept = default;
  explicit MemberWatch(std::shared_ptr<bool> alive) noexcept : alive_(std::move(alive)) {}
  MemberWatch(MemberWatch&&) noexcept = default;
  MemberWatch& operator=(MemberWatch&& other) noexcept {
    end();
    alive_ = std::move(other.alive_);
    return *this;
  }
  ~MemberWatch() { end(); }

 private:
  void end() noexcept {
    if (alive_) *alive_ = false;
    alive_ = nullptr;
  }
  std::shared_ptr<bool> alive_;
};

}  // namespace m3
