# SPDX-License-Identifier: BSL-1.0
"""What the tests of an installed m3 share: a build that was made for sanitizers is installed, and apps are built against that.

Apps are compiled without optimisation: what they are to show is that they build, and that is soonest known so.
"""
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess

from cases import eventually

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run(command, check=True, **options)


def find(folder, name):
    found = list(folder.rglob(name))
    assert len(found) == 1, f"{name} was installed {len(found)} times: {found}"
    return found[0]


def install(build):
    """The folder that holds m3 as `meson install` leaves it: one for all tests of the build folder, as it was built last."""
    folder = build / "test" / "installed"
    with open(build / "test" / "installed.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listed = json.loads((build / "meson-info/intro-installed.json").read_text())
        wanted = {pathlib.Path(f"{folder}{target}") for target in listed.values()}
        if any(path.is_file() and path not in wanted for path in folder.rglob("*")):
            shutil.rmtree(folder)  # a file that is no longer installed must not help
        run("meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--only-changed", "--destdir", str(folder))
    return folder


def sanitizers_of(build):
    """The value of b_sanitize: m3 and an app that is linked to it must share it."""
    text = subprocess.run(["meson", "introspect", "--buildoptions", str(build)], capture_output=True, text=True,
                          check=True).stdout
    return {option["name"]: option["value"] for option in json.loads(text)}["b_sanitize"]


def options_of(build):
    """For the meson of an app."""
    return ["-Doptimization=0", "-Ddebug=false", f"-Db_sanitize={sanitizers_of(build)}", "-Db_lundef=false"]


def compiler_of(build):
    text = subprocess.run(["meson", "introspect", "--compilers", str(build)], capture_output=True, text=True, check=False)
    if text.returncode == 0 and text.stdout.strip():
        return json.loads(text.stdout)["host"]["cpp"]["exelist"]
    commands = json.loads((build / "compile_commands.json").read_text())
    return commands[0]["command"].split(" -")[0].split()


def environment(build, installed):
    """Of those who build an app against what is installed there."""
    return dict(os.environ, CXX=" ".join(compiler_of(build)), PKG_CONFIG_PATH=str(find(installed, "m3.pc").parent))


def call(m3ctl, port, process, method, request):
    """What m3ctl says of a call, once the app listens."""
    def answer():
        done = subprocess.run([m3ctl, "call", f":{port}", method, request], capture_output=True, text=True, check=False)
        assert process.poll() is None, f"the app ended with {process.returncode}"
        return done.stdout + done.stderr if done.returncode != 4 else None
    return eventually("an answer", answer)


def greet(shop, program, m3ctl):
    """The app that `m3ctl new app shop` wrote is started, called and stopped."""
    port = re.search(r'listen = "127\.0\.0\.1:(\d+)"', (shop / "shop.toml").read_text()).group(1)
    process = subprocess.Popen([program, "--config", "shop.toml"], cwd=shop)
    try:
        answer = call(m3ctl, port, process, "Hello", '{"name": "ann"}')
    finally:
        process.terminate()
    assert "hello, ann" in answer and "dev.world1.shop.1" in answer, answer
    assert process.wait(timeout=60) == 0, f"shop ended with {process.returncode}"
