#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plays README.md, docs/hello.md and docs/tutorial.md as a reader would (test/tools/page.py says how), with m3 installed.

pages_test.py BUILD HELLO [CASE...]     BUILD is the build folder of m3, with everything built; HELLO is apps/hello
"""
import os
import pathlib
import re
import shlex
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import Cases, free_port  # noqa: E402
from installed import SOURCE, compiler_of, find, install, options_of  # noqa: E402
from page import Player  # noqa: E402

BUILD, HELLO = map(pathlib.Path, map(os.path.abspath, sys.argv[1:3]))
PORT = "20051"  # of hello, in the pages
case = Cases()


def player(folder, **more):
    """In the folder, with m3 installed, and on a free port."""
    installed = install(BUILD)
    env = {**os.environ, "PATH": f"{find(installed, 'bin/m3ctl').parent}:{os.environ['PATH']}",
           "PKG_CONFIG_PATH": str(find(installed, "m3.pc").parent), "XDG_CACHE_HOME": str(folder / ".cache"),
           "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", **more}
    for name in ("CXX", "CXXFLAGS", "M3_TOKEN", "M3_OPERATOR_TOKEN"):
        env.pop(name, None)
    setup = "meson setup build"
    return Player(folder, env, [(PORT, str(free_port())), ("CXX=clang++-19", "CXX=" + shlex.quote(shlex.join(compiler_of(BUILD)))),
                                (setup, shlex.join([*setup.split(), *options_of(BUILD)]))])


def page(name):
    return (SOURCE / name).read_text(encoding="utf-8")


@case
def the_readme_says_what_hello_does(folder):
    (folder / "hello").symlink_to(HELLO)
    with player(folder) as reader:
        reader.play("README.md", page("README.md"), "The page of code")
        assert reader.commands == 2, reader.commands
        reader.stop()


@case
def hello_is_built_and_answers(folder):
    """Also that the page's numbers are true; the seconds are only printed."""
    name = "docs/hello.md"
    text = page(name)
    with player(folder) as reader:
        for section, others in (("By hand", ["What else it does"]), ("With m3ctl new app", [])):
            before, began = (reader.commands, reader.lines), time.monotonic()
            reader.play(name, text, section)
            took = time.monotonic() - began
            counted = (reader.commands - before[0], reader.lines - before[1])
            print(f"{section}: {counted[0]} commands, {counted[1]} lines, {took:.1f} s until the answer")
            told = re.search(rf"\| \[{section}\]\S* \| (\d+) \| (\d+) \| (\d+) s \|", text)
            assert told, f"{name} has no row for {section}"
            assert (int(told[1]), int(told[2])) == counted, f"{name}: {section}: {counted} commands and lines, it says {told[0]}"
            for other in others:
                reader.play(name, text, other)
        reader.stop()


@case
def the_tutorial_is_true(folder):
    with player(folder) as reader:
        reader.play("docs/tutorial.md", page("docs/tutorial.md"))
        reader.stop()


if __name__ == "__main__":
    sys.exit(case.run("pages", sys.argv[3:]))
