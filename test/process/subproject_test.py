#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""A project that has m3 in its subprojects/, as docs/install.md shows: it is configured without m3's tests, apps and benchmarks,
and what `m3ctl new app` wrote compiles in it. It is not linked: that would build all of m3 once more.

subproject_test.py BUILD M3CTL     BUILD is the build folder of m3, for its compiler
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from installed import SOURCE, compiler_of, run  # noqa: E402

# What a user's copy of m3 cannot be without.
PARTS = ("meson.build", "meson_options.txt", "m3", "proto", "plugins", "codegen", "apps/meson.build", "apps/m3ctl",
         "test/tools/compiler_probe.cpp")
# The app, as far as its own code goes; linking it would build everything.
OBJECTS = ("shop.p/main.cpp.o", "libshop-proto.a.p/meson-generated_shop.m3.cc.o")


def copy(part, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if (SOURCE / part).is_dir():
        shutil.copytree(SOURCE / part, target)
    else:
        shutil.copy(SOURCE / part, target)


def main(build, m3ctl):
    with tempfile.TemporaryDirectory(prefix="m3-subproject-") as folder:
        run(m3ctl, "new", "app", "shop", "--dir", folder)
        shop = pathlib.Path(folder) / "shop"
        for part in PARTS:
            copy(part, shop / "subprojects/m3" / part)
        page = (SOURCE / "docs/install.md").read_text(encoding="utf-8")
        wrap = re.search(r"```ini\n# subprojects/m3.wrap\n(.*?)```", page, re.DOTALL)[1]
        (shop / "subprojects/m3.wrap").write_text(wrap)
        env = dict(os.environ, CXX=" ".join(compiler_of(build)), PKG_CONFIG_PATH="/nowhere")  # m3 may be installed
        run("meson", "setup", "build", "-Doptimization=0", "-Ddebug=false", "--wrap-mode=nodownload", cwd=shop, env=env)
        targets = json.loads((shop / "build/meson-info/intro-targets.json").read_text())
        built = {target["name"] for target in targets if target["build_by_default"]}
        assert {"shop", "shop-test", "m3-app", "protoc-gen-m3"} <= built, built
        assert not built & {"simple", "multi", "m3ctl", "m3ctl_parts", "unit-base"}, built
        assert not [name for name in built if name.startswith(("unit-", "bench", "m3_", "fuzz-"))], built
        assert "m3ctl" in {target["name"] for target in targets}, "m3ctl cannot be built when it is asked for"
        run("ninja", "-C", "build", *OBJECTS, cwd=shop)
        whole = subprocess.run(["ninja", "-C", "build", "-n", "shop", "shop-test"], cwd=shop, capture_output=True, text=True,
                               check=True).stdout
        assert "Linking target shop" in whole, whole
    print("an app was configured and compiled with m3 as its subproject")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
