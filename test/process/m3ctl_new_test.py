#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What `m3ctl new app` writes builds against an installed m3, passes its own test and answers.

m3ctl_new_test.py BUILD     BUILD is the build folder of m3, with everything built
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from out_of_tree import call, compiler_of, find, options_of, run


def main(build):
    with tempfile.TemporaryDirectory(prefix="m3ctl-new-") as folder:
        folder = pathlib.Path(folder)
        installed = folder / "installed"
        run("meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--destdir", str(installed))
        m3ctl = find(installed, "bin/m3ctl")
        for shell, file in (("bash", "bash-completion/completions/m3ctl"), ("zsh", "zsh/site-functions/_m3ctl")):
            script = subprocess.run([m3ctl, "completion", shell], capture_output=True, text=True, check=True).stdout
            assert find(installed, f"share/{file}").read_text() == script, f"another completion for {shell} was installed"
        run(m3ctl, "new", "app", "shop", "--dir", folder)
        shop = folder / "shop"
        env = dict(os.environ, CXX=" ".join(compiler_of(build)), PKG_CONFIG_PATH=str(find(installed, "m3.pc").parent))
        run("meson", "setup", "build", *options_of(build), cwd=shop, env=env)
        run("ninja", "-C", "build", cwd=shop)
        run("meson", "test", "-C", "build", "--no-rebuild", "--print-errorlogs", cwd=shop)
        run("build/shop", "--check-config", "--config", "shop.toml", cwd=shop)
        port = re.search(r'listen = "127\.0\.0\.1:(\d+)"', (shop / "shop.toml").read_text()).group(1)
        process = subprocess.Popen(["build/shop", "--config", "shop.toml"], cwd=shop)
        try:
            answer = call(m3ctl, port, process, "Hello", '{"name": "ann"}')
        finally:
            process.terminate()
        assert "hello, ann" in answer and "dev.world1.shop.1" in answer, answer
        assert process.wait(timeout=60) == 0, f"shop ended with {process.returncode}"
    print("a new app was written, built, tested, called and stopped")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
