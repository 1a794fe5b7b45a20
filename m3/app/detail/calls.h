// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>

#include "m3/app/app_config.h"
#include "m3/plugin/steps.h"
#include "m3/rpc/node.h"

namespace m3::app_detail {

/// The calls of an app: its port, and stopping running handlers. Core 0.
class Calls final : public Part {
 public:
  /// Another way than TCP to be reached; both may be empty.
  struct Way {
    std::function<Status(RpcNode&, HostPort)> listen;
    std::function<void(RpcNode&, const HostPort&)> unlisten;
  };

  /// `config` and `node` must outlive it.
  Calls(Core& core, const AppConfig& config, RpcNode& node, Way way, Host* host);

  /// Before steps(). invalid_argument: the configuration's address is wrong.
  Status open();
  void steps(Steps& steps) override;

  /// Ends connections and calls, in both directions; a second call does nothing.
  Task<> stop();

  /// Port 0 until it listens; always, when it does not.
  const HostPort& address() const noexcept { return address_; }

 private:
  Task<> listen(Ctx& ctx);
  Task<> finish(Ctx& ctx);

  Core& core_;
  const AppConfig& config_;
  RpcNode& node_;
  const Way way_;
  Host* const host_;
  HostPort address_;
  bool listens_otherwise_ = false;  // by way_
};

}  // namespace m3::app_detail
