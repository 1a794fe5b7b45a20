// SPDX-License-Identifier: BSL-1.0
// Runs a fuzz target without libFuzzer, as a test: every file of the folders given as arguments,
// every prefix of it up to a bound, and some mutations, the same ones each time. Exit code 1 when
// there is no input at all.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kPrefixes = 256;
constexpr int kMutations = 200;

using Input = std::vector<std::uint8_t>;

/// A copy of exactly that size, so that AddressSanitizer sees a read past the end.
void run(const Input& input, std::size_t size) {
  Input exact(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void run_mutations(const Input& seed, std::mt19937& random) {
  for (int round = 0; round < kMutations && !seed.empty(); ++round) {
    Input mutant = seed;
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      mutant[random() % mutant.size()] ^= static_cast<std::uint8_t>(1u << (random() % 8));
    }
    run(mutant, mutant.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::mt19937 random(20051);
  for (const auto& file : files) {
    std::printf("%s\n", file.c_str());  // the last one named is the one that crashed
    std::fflush(stdout);
    std::ifstream stream(file, std::ios::binary);
    Input seed{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    run(seed, seed.size());
    for (std::size_t size = 0; size < std::min(seed.size(), kPrefixes); ++size) run(seed, size);
    run_mutations(seed, random);
  }
  std::printf("%zu inputs\n", files.size());
  return files.empty() ? 1 : 0;
}
