// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

#include "m3/net/stream.h"
#include "m3/testing/fail_at.h"

namespace m3::testing {

/// A Stream that breaks at one of its steps: a send(), a piece that arrives, an on_writable(). A
/// send that breaks lets half of its bytes through. The owner is told by on_closed(unavailable), as
/// by a real stream later; the other side sees a close. `fail` outlives it.
std::unique_ptr<Stream> breaking_stream(Core& core, std::unique_ptr<Stream> stream, FailAt& fail);

/// A Transport whose connects are steps too (unavailable, not executed), and whose streams break.
class BreakingTransport final : public Transport {
 public:
  BreakingTransport(Core& core, Transport& under, FailAt& fail)
      : core_(core), under_(under), fail_(fail) {}
  Task<std::unique_ptr<Stream>> connect(Ctx& ctx, HostPort address) override;

 private:
  Core& core_;
  Transport& under_;
  FailAt& fail_;
};

}  // namespace m3::testing
