// SPDX-License-Identifier: BSL-1.0
#include "m3/app/app.h"
#include "multi_ser.h"

int main(int argc, char** argv) {
  return m3::App("multi").use_section<multi::Settings>().serve<multi::MultiSer>().run(argc, argv);
}
