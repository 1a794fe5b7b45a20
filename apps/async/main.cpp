// SPDX-License-Identifier: BSL-1.0
#include "async_ser.h"
#include "m3/app/app.h"

int main(int argc, char** argv) {
  return m3::App("async")
      .use_section<async::Settings>()
      .serve<async::AsyncSer>(m3::serial)
      .run(argc, argv);
}
