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

/// A change of one instance, as the mesh sees it: an instance that its registry drops is not
/// reported while it still answers.
struct MemberEvent {
  enum class Kind : std::uint8_t {
    up,          ///< it appeared; also sent for each instance that was there when the observer was
                 ///< added
    changed,     ///< the same start changed its state, weight, address or health
    gone,        ///< it disappeared; no other instance has its id yet
    superseded,  ///< another start has taken over the id of `before`, which has ended
    back,        ///< the same start that was reported as gone is back
  };
  Kind kind = Kind::up;
  Member member;                 ///< its current data; for one that is gone, its last data
  std::optional<Member> before;  ///< changed, superseded: the previous data
};
std::string_view member_event_name(MemberEvent::Kind kind) noexcept;

using MemberObserver = std::function<void(const MemberEvent&)>;

/// The registration of an observer (Mesh::observe). Movable; nothing is delivered once it is
/// destroyed, not even if the observer itself destroys it. Core 0; may outlive the mesh. The
/// observer is destroyed a little later.
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
