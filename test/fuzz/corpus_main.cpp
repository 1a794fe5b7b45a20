// SPDX-License-Identifier: BSL-1.0
// Runs a fuzz target without libFuzzer: over every file of the folders given, and over mutants of
// them that are the same in every run.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutants = 2000;  // of each seed

using Bytes = std::vector<std::uint8_t>;

void run(const Bytes& bytes) {
  // A buffer of exactly this size, so that the sanitizer sees every read beyond it.
  const Bytes exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<Bytes> read_seeds(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> seeds;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return seeds;
}

void mutate(Bytes& bytes, const std::vector<Bytes>& seeds, std::mt19937& random) {
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1));
  const auto left = static_cast<std::size_t>(bytes.end() - at);
  switch (random() % 6) {
    case 0:
      if (left > 0) *at ^= static_cast<std::uint8_t>(1u << (random() % 8));
      break;
    case 1:
      if (left > 0) *at = static_cast<std::uint8_t>(random());
      break;
    case 2:
      bytes.insert(at, static_cast<std::uint8_t>(random()));
      break;
    case 3:
      bytes.erase(at, at + static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(left, 16) + 1)));
      break;
    case 4:
      bytes.resize(bytes.size() - left);
      break;
    default: {
      const Bytes& other = seeds[below(seeds.size())];
      const std::size_t from = below(other.size() + 1);
      const std::size_t count = below(other.size() - from + 1);
      const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
      const Bytes part(begin, begin + static_cast<std::ptrdiff_t>(count));
      bytes.insert(at, part.begin(), part.end());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    for (Bytes& seed : read_seeds(argv[i])) seeds.push_back(std::move(seed));
  }
  if (seeds.empty()) {
    std::fputs("no seeds: name a folder that holds some\n", stderr);
    return 1;
  }
  std::mt19937 random(1);
  for (const Bytes& seed : seeds) {
    run(seed);
    for (int i = 0; i < kMutants; ++i) {
      Bytes mutant = seed;
      for (std::uint32_t n = 1 + random() % 4; n > 0; --n) mutate(mutant, seeds, random);
      run(mutant);
    }
  }
  std::printf("%zu seeds, %d mutants of each\n", seeds.size(), kMutants);
  return 0;
}
