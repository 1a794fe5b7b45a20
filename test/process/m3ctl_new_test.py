#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What `m3ctl new app` writes builds against an installed m3, passes its own test and answers.

m3ctl_new_test.py BUILD     BUILD is the build folder of m3, with everything built
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from installed import environment, find, greet, install, options_of, run  # noqa: E402


def main(build):
    with tempfile.TemporaryDirectory(prefix="m3ctl-new-") as folder:
        folder = pathlib.Path(folder)
        installed = install(build)
        m3ctl = find(installed, "bin/m3ctl")
        for shell, file in (("bash", "bash-completion/completions/m3ctl"), ("zsh", "zsh/site-functions/_m3ctl")):
            script = subprocess.run([m3ctl, "completion", shell], capture_output=True, text=True, check=True).stdout
            assert find(installed, f"share/{file}").read_text() == script, f"another completion for {shell} was installed"
        run(m3ctl, "new", "app", "shop", "--dir", folder)
        shop = folder / "shop"
        run("meson", "setup", "build", *options_of(build), cwd=shop, env=environment(build, installed))
        run("ninja", "-C", "build", cwd=shop)
        run("meson", "test", "-C", "build", "--no-rebuild", "--print-errorlogs", cwd=shop)
        tested = subprocess.run(["build/shop-test", "--list-test-names-only"], cwd=shop, capture_output=True, text=True,
                                check=False).stdout
        assert tested.count("shop: ") == 2, f"the app's test does not have the cases it was written with: {tested}"
        run("build/shop", "--check-config", "--config", "shop.toml", cwd=shop)
        greet(shop, shop / "build/shop", m3ctl)
    print("a new app was written, built, tested, called and stopped")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
