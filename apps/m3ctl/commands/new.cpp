// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "apps/m3ctl/app_name.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/new_app_files.h"
#include "m3/base/method_hash.h"

namespace m3ctl {
namespace {

namespace fs = std::filesystem;
using m3::Errc;
using m3::Status;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

void replace(std::string& text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// A port that seldom meets another new app's: from 21000 to 28999, by the name.
std::string port_of(const std::string& name) {
  return std::to_string(21000 + m3::method_hash(name) % 8000);
}

std::string filled(std::string_view text, const std::string& name) {
  std::string title = name;
  title[0] = static_cast<char>(title[0] - 'a' + 'A');
  std::string out(text);
  replace(out, "@name@", name);
  replace(out, "@Name@", title);
  replace(out, "@port@", port_of(name));
  return out;
}

Status write_file(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path);
  file << text;
  file.close();
  if (error || !file) return Status(Errc::failed_precondition, "cannot write " + path.string());
  return m3::ok;
}

Status run(const Options& options) {
  if (options.words[0] != "app")
    return wrong("\"" + options.words[0] + "\": m3ctl can create a new app: m3ctl new app NAME");
  if (options.words.size() < 2) return wrong("the name is missing: m3ctl new app NAME");
  const std::string& name = options.words[1];
  if (Status status = check_app_name(name); !status) return status;
  const fs::path folder = fs::path(options.dir) / name;
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error))
    return Status(Errc::already_exists,
                  folder.string() + " exists and is not empty: nothing was written");
  std::printf("%s\n", folder.c_str());
  for (const AppFile& file : new_app_files()) {
    const std::string file_name = filled(file.name, name);
    if (Status status = write_file(folder / file_name, filled(file.text, name)); !status)
      return status;
    std::printf("  %s\n", file_name.c_str());
  }
  std::printf(
      "\nnow\n  cd %s\n  CXX=clang++-19 meson setup build && meson compile -C build && meson test "
      "-C build\n"
      "  ./build/%s --config %s.toml &\n  m3ctl call 127.0.0.1:%s Hello '{\"name\": \"ann\"}'\n",
      folder.c_str(), name.c_str(), name.c_str(), port_of(name).c_str());
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl new app shop               writes shop/: a .proto, its handler, a client, a test, a configuration, a build
  m3ctl new app shop --dir ~/src

It builds against the installed m3 with meson; shop/README.md has the commands.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"dir"});

}  // namespace

const Command kNew{
    .name = "new",
    .usage = "new app NAME [--dir D]",
    .line = "creates a small app that builds and answers",
    .help = kText,
    .options = kOptions,
    .first_words = "app",
    .least_words = 1,
    .most_words = 2,
    .run = &run,
};

}  // namespace m3ctl
