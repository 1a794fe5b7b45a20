#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Installs m3 into an empty folder and builds against that and nothing else of this tree: the service of apps/simple with the
plugin of docs/guide/plugin.md, through which two apps find each other.

out_of_tree.py BUILD     BUILD is the build folder of m3, with everything built
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import free_port  # noqa: E402
from installed import SOURCE, environment, find, install, options_of, run  # noqa: E402

GUIDE = SOURCE / "docs/guide/plugin.md"
PROJECT = """project('elsewhere', 'cpp', default_options: ['cpp_std=c++20'])
subdir('m3')
subdir('folder')
"""
FOLDER = """proto = static_library('simple-proto',
  m3_gen.process('proto/simple.proto', preserve_path_from: meson.current_source_dir()), dependencies: m3_app)
router = static_library('folder-router', 'folder_router.cpp', dependencies: m3_app)
simple = declare_dependency(link_with: [proto, router], include_directories: proto.private_dir_include(), dependencies: m3_app)
executable('folder-simple', 'main.cpp', 'simple_ser.cpp', dependencies: simple)
executable('folder-caller', 'caller.cpp', dependencies: simple)
"""
CALLER = """#include <cstdio>
#include "client.h"
#include "folder_router.h"
#include "m3/app/app.h"

int main(int argc, char** argv) {
  m3::App app("caller");
  app.plugin<FolderRouter>();
  app.on_start([&app](m3::Ctx& ctx) -> m3::Task<> {
    simple::Client client(app);
    const std::string text = co_await client.hello_world(ctx, "ann");
    std::printf("answer: %s\\n", text.c_str());
    std::fflush(stdout);
    app.shutdown();
    co_return m3::ok;
  });
  return app.run(argc, argv);
}
"""


def page(port, path):
    """Status and text of a page of the admin port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def write_plugin(folder):
    """The guide's code, beside the service of apps/simple."""
    shutil.copytree(SOURCE / "apps/simple", folder)
    blocks = re.findall(r"```cpp\n// (\S+)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == ["folder_router.h", "folder_router.cpp", "visitors.h", "main.cpp"], blocks
    for name, code in blocks:
        (folder / name).write_text(code)
    (folder / "caller.cpp").write_text(CALLER)
    (folder / "meson.build").write_text(FOLDER)


def use_plugin(programs, folder):
    """A caller finds simple, and a second simple of the same id the first, through the plugin alone."""
    config = folder / "folder.toml"
    admin = free_port()
    config.write_text('listen = "127.0.0.1:0"\ncores = 1\ndrain_wait = "0s"\nrpc.wait_for_route = "30s"\n'
                      f'[router.folder]\npath = "{folder}/members"\nevery = "20ms"\n')
    simple, caller = programs / "folder-simple", programs / "folder-caller"
    listed = subprocess.run([simple, "--list-plugins"], capture_output=True, text=True, check=True).stdout.split()
    assert "router.folder" in listed and "router.static" in listed, listed
    reference = subprocess.run([simple, "--config-reference"], capture_output=True, text=True, check=True).stdout
    assert "how often it is read" in reference, reference
    wrong = folder / "wrong.toml"
    wrong.write_text('[router.folder]\npath = ""\nevry = "20ms"\n[router.static]\n')
    refused = subprocess.run([simple, "--check-config", "--config", wrong], capture_output=True, text=True, check=False)
    for word in ("wrong.toml:2: router.folder.path", "wrong.toml:3: router.folder.evry", "did you mean \"every\"?",
                 "wrong.toml:4: router.static: a second router"):
        assert word in refused.stderr, f"{word!r} is missing in: {refused.stderr}"
    guide = folder / "guide.toml"
    guide.write_text(re.search(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1])
    run(simple, "--check-config", "--config", guide)
    with_board = folder / "board.toml"
    with_board.write_text(config.read_text().replace("cores = 1", f'cores = 2\nadmin.listen = "127.0.0.1:{admin}"') +
                          "[visitors.board]\nmost = 1\n")
    process = subprocess.Popen([simple, "--id", "dev.world1.simple.1", "--config", with_board])
    try:
        answer = subprocess.run([caller, "--id", "dev.world1.caller.1", "--config", config], capture_output=True, text=True,
                                check=False, timeout=60)
        assert "answer: HelloWorld , ann" in answer.stdout, answer
        board = page(admin, "/visitors")
        assert board == (200, "1 requests on 2 cores, door open\n"), board
        assert page(admin, "/health/ready") == (503, "visitors: full\n"), page(admin, "/health/ready")
        second = subprocess.run([simple, "--id", "dev.world1.simple.1", "--config", config], capture_output=True, text=True,
                                check=False, timeout=60)
        assert second.returncode == 1 and "is already running" in second.stderr, second
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(timeout=60) == 0, f"folder-simple ended with {process.returncode}"
    assert not list((folder / "members").iterdir()), "what was announced is still there"
    print("a plugin built outside the tree found, refused and withdrew")


def main(build):
    with tempfile.TemporaryDirectory(prefix="m3-out-of-tree-") as folder:
        folder = pathlib.Path(folder)
        installed = install(build)
        elsewhere = folder / "elsewhere"
        (elsewhere / "m3").mkdir(parents=True)
        shutil.copy(find(installed, "meson.build"), elsewhere / "m3")
        write_plugin(elsewhere / "folder")
        (elsewhere / "meson.build").write_text(PROJECT)
        run("meson", "setup", "b", *options_of(build), cwd=elsewhere, env=environment(build, installed))
        run("ninja", "-C", "b", cwd=elsewhere)
        use_plugin(elsewhere / "b/folder", folder)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
