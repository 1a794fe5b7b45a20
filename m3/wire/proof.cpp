// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace m3 {
namespace {

void fill_random(void* to, std::size_t size) {
  auto* bytes = static_cast<std::uint8_t*>(to);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = getrandom(bytes + done, size - done, 0);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      std::perror("m3: getrandom");  // a guessable nonce would void the proof
      std::abort();
    }
  }
}

void add_id(std::string& text, std::string_view id) {
  text.push_back(static_cast<char>(id.size() & 0xff));
  text.push_back(static_cast<char>(id.size() >> 8 & 0xff));
  text.append(id);
}

void add_nonce(std::string& text, const Nonce& nonce) {
  text.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
}

}  // namespace

Nonce random_nonce() {
  Nonce nonce;
  fill_random(nonce.data(), nonce.size());
  return nonce;
}

std::uint64_t random_id() {
  std::uint64_t id = 0;
  while (id == 0) fill_random(&id, sizeof id);
  return id;
}

Proof hello_proof(std::string_view token, Prover who, const Introduction& intro,
                  std::string_view acceptor_id) {
  std::string text(1, static_cast<char>(who));
  add_nonce(text, intro.dialer);
  add_nonce(text, intro.acceptor);
  add_id(text, intro.dialer_id);
  add_id(text, intro.dialled);
  add_id(text, acceptor_id);
  Proof proof{};
  unsigned length = 0;
  const unsigned char* made =
      HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &length);
  if (made == nullptr || length != proof.size()) {
    std::fputs("m3: libcrypto cannot compute HMAC-SHA256\n", stderr);
    std::abort();
  }
  return proof;
}

bool same_proof(std::string_view given, const Proof& good) {
  return given.size() == good.size() && CRYPTO_memcmp(given.data(), good.data(), good.size()) == 0;
}

}  // namespace m3
