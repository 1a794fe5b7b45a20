#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Installs m3 into an empty folder, builds apps/simple against that and nothing else of this tree, starts it and calls it.

out_of_tree.py BUILD     BUILD is the build folder of m3, with everything built
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROJECT = """project('elsewhere', 'cpp', default_options: ['cpp_std=c++20'])
subdir('m3')
subdir('simple')
"""


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run(command, check=True, **options)


def find(folder, name):
    found = list(folder.rglob(name))
    assert len(found) == 1, f"{name} was installed {len(found)} times: {found}"
    return found[0]


def options_of(build):
    """The options that m3 was built with and that an app linked to it must share."""
    text = subprocess.run(["meson", "introspect", "--buildoptions", str(build)], capture_output=True, text=True,
                          check=True).stdout
    values = {option["name"]: option["value"] for option in json.loads(text)}
    shared = [f"-D{name}={values[name]}" for name in ("debug", "optimization", "b_sanitize")]
    return shared + ["-Db_lundef=false"]


def compiler_of(build):
    text = subprocess.run(["meson", "introspect", "--compilers", str(build)], capture_output=True, text=True, check=False)
    if text.returncode == 0 and text.stdout.strip():
        return json.loads(text.stdout)["host"]["cpp"]["exelist"]
    commands = json.loads((build / "compile_commands.json").read_text())
    return commands[0]["command"].split(" -")[0].split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(m3ctl, port, process):
    """The answer of the app, once it listens."""
    until = time.monotonic() + 60
    while True:
        answer = subprocess.run([m3ctl, "call", f"127.0.0.1:{port}", "SimpleSer/HelloWorld", '{"Req": "ann"}'],
                                capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return answer.stdout
        assert process.poll() is None, f"simple ended with {process.returncode}"
        assert time.monotonic() < until, f"no answer: {answer.stdout}{answer.stderr}"
        time.sleep(0.1)


def main(build):
    with tempfile.TemporaryDirectory(prefix="m3-out-of-tree-") as folder:
        folder = pathlib.Path(folder)
        installed = folder / "installed"
        run("meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--destdir", str(installed))
        elsewhere = folder / "elsewhere"
        shutil.copytree(SOURCE / "apps/simple", elsewhere / "simple")
        (elsewhere / "m3").mkdir()
        glue = [path for path in installed.rglob("meson.build")]
        assert len(glue) == 1, glue
        shutil.copy(glue[0], elsewhere / "m3")
        (elsewhere / "meson.build").write_text(PROJECT)
        env = dict(os.environ, CXX=" ".join(compiler_of(build)), PKG_CONFIG_PATH=str(find(installed, "m3.pc").parent))
        run("meson", "setup", "b", *options_of(build), cwd=elsewhere, env=env)
        run("ninja", "-C", "b", cwd=elsewhere)
        port = free_port()
        config = folder / "simple.toml"
        config.write_text(f'listen = "127.0.0.1:{port}"\ndrain_wait = "0s"\n')
        process = subprocess.Popen([elsewhere / "b/simple/simple", "--id", "dev.world1.simple.1", "--config", config])
        try:
            answer = call(find(installed, "m3ctl"), port, process)
        finally:
            process.terminate()
        print(answer)
        assert "ann" in answer, answer
        assert process.wait(timeout=60) == 0, f"simple ended with {process.returncode}"
    print("built, called and stopped outside the tree")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
