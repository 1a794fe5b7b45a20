// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/seal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace m3 {
namespace {

void demand(bool works) {
  if (works) [[likely]]
    return;
  std::fputs("m3: libcrypto cannot compute HMAC-SHA256\n", stderr);
  std::abort();
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Proof end(EVP_MAC_CTX* context) {
  Proof proof{};
  std::size_t size = 0;
  demand(EVP_MAC_final(context, proof.data(), &size, proof.size()) == 1 && size == proof.size());
  return proof;
}

void begin(EVP_MAC_CTX* context, std::string_view key) {
  std::string digest = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  demand(EVP_MAC_init(context, bytes_of(key), key.size(), params) == 1);
}

}  // namespace

Seal::Seal(std::string_view token, std::string_view purpose) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  demand(mac != nullptr);
  context_.reset(EVP_MAC_CTX_new(mac));
  EVP_MAC_free(mac);
  demand(context_ != nullptr);
  begin(context_.get(), token);
  demand(EVP_MAC_update(context_.get(), bytes_of(purpose), purpose.size()) == 1);
  const Proof key = end(context_.get());
  begin(context_.get(), std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

Seal::Seal(Seal&&) noexcept = default;
Seal& Seal::operator=(Seal&&) noexcept = default;
Seal::~Seal() = default;

void Seal::Free::operator()(evp_mac_ctx_st* context) const noexcept { EVP_MAC_CTX_free(context); }

Proof Seal::over(std::initializer_list<std::string_view> parts) {
  // Without a key: the same one, from the beginning.
  demand(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1);
  for (std::string_view part : parts)
    demand(EVP_MAC_update(context_.get(), bytes_of(part), part.size()) == 1);
  return end(context_.get());
}

}  // namespace m3
