// SPDX-License-Identifier: BSL-1.0
#include "server_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "allocations.h"
#include "json_line.h"

namespace bench {

ServerPage* ServerPage::publish(std::string& path) {
  const int fd = memfd_create("m3-bench-page", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, sizeof(ServerPage)) != 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(ServerPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* page = new (memory) ServerPage;
  page->allocations_counted = Allocations::counted();
  Allocations::keep_at(&page->allocations);
  path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd);
  return page;
}

const ServerPage* ServerPage::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(ServerPage), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<const ServerPage*>(memory);
}

void print_ready(const char* program, int port, const std::string& page) {
  JsonLine()
      .text("program", program)
      .count("port", static_cast<std::uint64_t>(port))
      .count("pid", static_cast<std::uint64_t>(getpid()))
      .text("page", page)
      .boolean("sanitized", Allocations::sanitized())
      .print();
}

}  // namespace bench
