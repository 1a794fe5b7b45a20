#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Packs an m3 that is built into a Debian package, libm3-dev, for the Debian that this machine runs.

deb.py BUILD OUT [--compression HOW]     BUILD: the build folder; OUT: where the .deb goes, whose path is printed

What the package depends on is found, not listed: the packages of the libraries that its programs load, and those of
everything that an app is compiled and linked with, as the pkg-config files say.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "libm3-dev"
BOOST = "/usr/include/boost/version.hpp"  # has no pkg-config file
# What an app is built with, but need not be.
RECOMMENDS = "g++ (>= 4:14) | clang-19, pkg-config, catch2, meson | cmake"
DESCRIPTION = """coroutine runtime for game back ends (development files)
 m3 is a C++20 coroutine runtime for game back ends: typed RPC, discovery,
 routing and configuration. This package has the headers, the static
 libraries, protoc-gen-m3, the files for pkg-config, meson and CMake, and the
 tool m3ctl. An app that is linked to it does not need it to run."""


def out_of(*command, env=None):
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def owner(path):
    """The package that a file came with. Its name may lack the /usr that the file is found under, or have one too many."""
    path = os.path.realpath(path)
    for name in (path, path.removeprefix("/usr"), "/usr" + path):
        found = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.split(":")[0].split(",")[0]
    sys.exit(f"error: {path} belongs to no package, so a package that needs it cannot be made here")


def upstream_version(package):
    """"3.0.11" of "3.0.11-1~deb12u2"; with the epoch."""
    version = out_of("dpkg-query", "-W", "-f=${Version}\n", package).splitlines()[0]
    return re.sub(r"-[^-]*$", "", version)


def needed_libraries(program):
    """The files of the shared libraries that a program itself asks for."""
    wanted = re.findall(r"NEEDED\s+(\S+)", out_of("objdump", "-p", program))
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", out_of("ldd", program), re.MULTILINE))
    return [found[name] for name in wanted if name in found]


def run_time_packages(programs):
    """As "libssl3 (>= 3.0.11)": an older one may lack what was there when m3 was built."""
    packages = {owner(library) for program in programs for library in needed_libraries(program)}
    return [f"{package} (>= {upstream_version(package)})" for package in sorted(packages)]


def build_time_packages(pc_file):
    """Those that have the pkg-config files which m3.pc requires, and Boost."""
    env = dict(os.environ, PKG_CONFIG_PATH=str(pc_file.parent))
    packages = {owner(BOOST), "protobuf-compiler"}
    for line in out_of("pkg-config", "--print-requires", pc_file.stem, env=env).splitlines():
        name = line.split()[0]
        folder = out_of("pkg-config", "--variable=pcfiledir", name, env=env).strip()
        packages.add(owner(f"{folder}/{name}.pc"))
    return sorted(packages)


def suite():
    """"deb12" on Debian 12: the libraries of another Debian are others, so that it needs a package of its own."""
    release = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release, re.MULTILINE))
    system = fields.get("ID", "linux")
    return ("deb" if system == "debian" else system) + fields.get("VERSION_ID", "")


def write_control(stage, version, architecture):
    programs = sorted(path for path in stage.rglob("bin/*") if path.is_file())
    depends = run_time_packages(programs) + build_time_packages(next(stage.rglob("m3.pc")))
    size = sum(path.stat().st_size for path in stage.rglob("*") if path.is_file())
    (stage / "DEBIAN").mkdir()
    (stage / "DEBIAN/control").write_text(f"""Package: {NAME}
Version: {version}
Architecture: {architecture}
Maintainer: the m3 developers <m3@localhost>
Section: libdevel
Priority: optional
Installed-Size: {size // 1024}
Depends: {", ".join(depends)}
Recommends: {RECOMMENDS}
Description: {DESCRIPTION}
""", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--compression", default="xz", help="as dpkg-deb's -Z: none is fast")
    given = parser.parse_args()
    for program in ("dpkg-deb", "objdump", "pkg-config"):
        if shutil.which(program) is None:
            sys.exit(f"error: {program} is missing: a .deb is made on Debian, with the packages binutils and pkg-config")
    version = json.loads(out_of("meson", "introspect", "--projectinfo", str(given.build)))["version"] + "~" + suite()
    architecture = out_of("dpkg", "--print-architecture").strip()
    given.out.mkdir(parents=True, exist_ok=True)
    package = given.out.resolve() / f"{NAME}_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="m3-deb-") as folder:
        stage = pathlib.Path(folder) / "stage"
        out_of("meson", "install", "-C", str(given.build), "--no-rebuild", "--quiet", "--strip", "--destdir", str(stage))
        prefix = next(stage.rglob("bin/protoc-gen-m3")).parents[1]
        libraries = next(stage.rglob("m3.pc")).relative_to(prefix).parts[0]
        if libraries != "lib":
            sys.exit(f"error: m3.pc is below {libraries}, where pkg-config does not look on Debian: configure with --libdir=lib")
        legal = prefix / "share/doc" / NAME
        legal.mkdir(parents=True)
        shutil.copy(ROOT / "LICENSE", legal / "copyright")
        write_control(stage, version, architecture)
        stage.chmod(0o755)
        out_of("dpkg-deb", "--root-owner-group", f"-Z{given.compression}", "--build", str(stage), str(package))
    print(package)


if __name__ == "__main__":
    main()
