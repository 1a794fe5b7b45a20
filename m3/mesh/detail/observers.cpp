// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/observers.h"

namespace m3 {

std::string_view member_event_name(MemberEvent::Kind kind) noexcept {
  switch (kind) {
    case MemberEvent::Kind::up:
      return "up";
    case MemberEvent::Kind::changed:
      return "changed";
    case MemberEvent::Kind::gone:
      return "gone";
    case MemberEvent::Kind::superseded:
      return "superseded";
    case MemberEvent::Kind::back:
      return "back";
  }
  return "?";
}

namespace mesh_detail {

void Observers::deliver(std::shared_ptr<Observer> to, std::shared_ptr<const MemberEvents> events) {
  if (events->empty() || !*to->alive) return;
  waiting_.emplace_back(std::move(to), std::move(events));
  if (armed_.count() > 0) return;
  armed_.add();
  core_.ready(turn_);
}

void Observers::run() {
  for (auto& [to, events] : std::exchange(waiting_, {}))
    for (const MemberEvent& event : *events)
      if (*to->alive) to->tell(event);
  armed_.done();
  if (waiting_.empty()) return;
  armed_.add();  // observers caused new events
  core_.ready(turn_);
}

Task<> Observers::stop(Ctx& ctx) {
  waiting_.clear();
  co_await armed_.zero(ctx);
  co_return ok;
}

}  // namespace mesh_detail
}  // namespace m3
