// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "m3/async/core.h"
#include "m3/base/status.h"
#include "m3/rpc/method.h"

namespace m3 {

/// A request or notify, before anything of it is parsed. The views end with admit().
struct AdmissionRequest {
  const MethodInfo& method;
  std::string_view caller;    ///< app id of the peer, as it was proven; empty: a tool
  std::string_view metadata;  ///< encoded m3.wire.Metadata (decode_metadata); empty: none, or local
  std::size_t bytes = 0;      ///< of the body
  Nanos age{0};               ///< how long it has waited here, at least
  Nanos left{0};              ///< until its deadline
};

/// Decides whether a request is handled, before it is parsed or anything is taken from a pool: the
/// place for limits and for traffic rules. A plain function of one core, called for every request
/// and notify that arrives there, including those of this process: it must not wait, and should not
/// allocate. Owned by the app, one object per core.
class Admission {
 public:
  virtual ~Admission() = default;
  /// An error refuses the request: the caller gets it as not executed and may try another instance.
  virtual Status admit(const AdmissionRequest& request) = 0;
  /// Called once for every request that this object admitted: it has ended, or another Admission or
  /// the parser refused it. `took` is the time since its handler began; 0: it had none.
  virtual void ended(const MethodInfo&, const Status&, Nanos) {}
};

/// The admissions of an app, in the order in which they are called. Plugins add theirs in their
/// constructors: `env.part<AdmissionList>()->makers.push_back(…)`; each is called once per core.
struct AdmissionList {
  std::vector<std::function<std::unique_ptr<Admission>(Core&)>> makers;
};

}  // namespace m3
