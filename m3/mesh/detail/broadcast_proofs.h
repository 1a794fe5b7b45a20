// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "m3/mesh/detail/broadcast_codec.h"
#include "m3/wire/seal.h"

namespace m3::mesh_detail {

/// Access to the broker does not make a publisher trusted: with a token configured each message
/// carries a proof that its publisher knows it, over the topic, the publisher, its run, the number
/// and the notifies. Core 0.
class BroadcastProofs {
 public:
  /// `second` is accepted, too, while the token is changed. Both empty: no proofs.
  BroadcastProofs(std::string_view token, std::string_view second);

  /// The placeholder for begin_broadcast().
  std::string_view room() const noexcept;
  /// Fills in the proof of a whole message that was begun with room().
  void sign(std::string& message, std::string_view topic);
  /// unauthenticated: its publisher does not know the token.
  Status check(const BroadcastMessage& message, std::string_view topic);

 private:
  std::optional<Seal> own_;
  std::optional<Seal> second_;
};

}  // namespace m3::mesh_detail
