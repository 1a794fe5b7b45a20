// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>

#include "m3/wire/proof.h"

struct evp_mac_ctx_st;

namespace m3 {

/// Signs messages that others transport, for holders of a token: HMAC-SHA256 with a derived key,
/// HMAC-SHA256(token, purpose), so a signature for one purpose is not valid for another. Not for
/// several threads at once.
class Seal {
 public:
  Seal(std::string_view token, std::string_view purpose);
  Seal(Seal&&) noexcept;
  Seal& operator=(Seal&&) noexcept;
  ~Seal();

  /// Over the concatenated parts: their lengths must be part of their content.
  Proof over(std::initializer_list<std::string_view> parts);

 private:
  struct Free {
    void operator()(evp_mac_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_mac_ctx_st, Free> context_;
};

}  // namespace m3
