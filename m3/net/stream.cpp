// SPDX-License-Identifier: BSL-1.0
#include "m3/net/stream.h"

namespace m3 {

StreamBuffers::StreamBuffers() : read(std::make_unique_for_overwrite<char[]>(kReadBytes)) {}

}  // namespace m3
