// SPDX-License-Identifier: BSL-1.0
#include "m3/app/app.h"
#include "simple_ser.h"

int main(int argc, char** argv) {
  return m3::App("simple").serve<simple::SimpleSer>().run(argc, argv);
}
