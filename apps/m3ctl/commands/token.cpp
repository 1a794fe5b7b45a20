// SPDX-License-Identifier: BSL-1.0
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "apps/m3ctl/base64url.h"
#include "apps/m3ctl/commands/commands.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;

constexpr std::size_t kBytes = 32;  // 256 bits

Status run(const Options& options) {
  if (options.words[0] != "new")
    return Status(Errc::invalid_argument,
                  "\"" + options.words[0] + "\": m3ctl can create a token: m3ctl token new");
  std::array<unsigned char, kBytes> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Status(Errc::internal, std::string("no random bytes: ") + std::strerror(errno));
  std::printf("%s\n", base64url(bytes).c_str());
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl token new                                  256 random bits in letters, digits, "-" and "_"
  export M3_TOKEN=$(m3ctl token new)               and in every app's file: [rpc] token = "${M3_TOKEN}"

It is not stored anywhere: keep it with the secrets of your cluster.
)";

}  // namespace

const Command kToken{
    .name = "token",
    .usage = "token new",
    .line = "creates a credential for a cluster",
    .help = kText,
    .first_words = "new",
    .least_words = 1,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
