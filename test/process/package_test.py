#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What ./dev package makes: a Debian package that names what it needs, and with which an app is built by CMake, as
docs/install.md shows.

package_test.py BUILD [WORD...]     BUILD is the build folder of m3, with everything built
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import Cases, Skip  # noqa: E402
from installed import SOURCE, compiler_of, find, greet, run, sanitizers_of  # noqa: E402

case = Cases()


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Package:
    """The .deb, unpacked, and an app outside of it."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        made = output_of(SOURCE / "codegen/install/deb.py", build, folder, "--compression", "none")
        self.file = pathlib.Path(made.strip())
        self.root = folder / "root"
        run("dpkg-deb", "-x", self.file, self.root)
        self.prefix = find(self.root, "protoc-gen-m3").parents[1]
        self.shop = folder / "shop"

    def field(self, name):
        return output_of("dpkg-deb", "-f", self.file, name).strip()

    def make_shop(self):
        """The app of `m3ctl new app`, with the CMakeLists.txt of the page instead of its meson.build."""
        if not self.shop.exists():
            run(find(self.root, "bin/m3ctl"), "new", "app", "shop", "--dir", self.folder)
            page = (SOURCE / "docs/install.md").read_text(encoding="utf-8")
            (self.shop / "meson.build").unlink()
            shutil.rmtree(self.shop / "m3")
            (self.shop / "CMakeLists.txt").write_text(re.search(r"```cmake\n(cmake_minimum.*?)```", page, re.DOTALL)[1])

    def configure(self, text=None, build="build", **env):
        """What cmake says (exit code, output) of the app, or of another CMakeLists.txt beside it."""
        if shutil.which("cmake") is None:
            raise Skip("cmake is not installed: apt-get install cmake")
        self.make_shop()
        source = self.shop
        if text is not None:
            source = self.folder / "other"
            source.mkdir(exist_ok=True)
            (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.20)\n" + text)
        *launcher, compiler = compiler_of(self.build)
        flags = "-O0" if sanitizers_of(self.build) == "none" else "-O0 -fsanitize=" + sanitizers_of(self.build)
        done = subprocess.run(
            ["cmake", "-G", "Ninja", "-S", source, "-B", source / build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
             f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_COMPILER_LAUNCHER={';'.join(launcher)}",
             f"-DCMAKE_CXX_FLAGS={flags}"],
            capture_output=True, text=True, check=False, env=dict(os.environ, **env))
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def refused(self, text, *words, **how):
        code, said = self.configure(text, **how)
        assert code != 0, f"accepted: {text}"
        for word in words:
            assert word in said, f"{word!r} is not in: {said}"


@case
def its_name_has_the_version_of_m3_and_of_debian(package):
    version, architecture = package.field("Version"), package.field("Architecture")
    assert re.fullmatch(r"\d+\.\d+\.\d+~\w+[\d.]*", version), version
    assert package.file.name == f"libm3-dev_{version}_{architecture}.deb", package.file


@case
def it_depends_on_what_an_app_is_built_with_and_what_its_programs_load(package):
    depends = package.field("Depends").split(", ")
    for name in ("protobuf-compiler", "libprotobuf-dev", "libssl-dev", "libfmt-dev", "libhiredis-dev", "libsqlite3-dev",
                 "libtomlplusplus-dev", "nlohmann-json3-dev"):
        assert name in depends, f"{name} is not in {depends}"
    for pattern in (r"libboost\S*-dev", r"libprotobuf\d\S* \(>= 3\.\S+\)", r"libprotoc\d\S* \(>= .*", r"libc6 \(>= .*"):
        assert any(re.fullmatch(pattern, one) for one in depends), f"{pattern} is not in {depends}"
    assert not any(one.startswith(("libprotoc-dev", "catch2")) for one in depends), depends


@case
def its_headers_include_nothing_that_it_lacks(package):
    include = package.prefix / "include"
    lacking = {(str(header.relative_to(include)), name) for header in include.rglob("*.h")
               for name in re.findall(r'^#include "((?:m3|plugins)/[^"]+)"', header.read_text(), re.MULTILINE)
               if not (include / name).exists()}
    assert not lacking, lacking
    assert (include / "m3/app/app.h").exists() and (include / "m3/testing/co_test.h").exists()


@case
def apt_finds_all_that_it_needs(package):
    if not list(pathlib.Path("/var/lib/apt/lists").glob("*_Packages*")):
        raise Skip("apt has no lists of packages: apt-get update")
    said = output_of("apt-get", "--simulate", "--no-install-recommends", "install", package.file)
    assert "Inst libm3-dev" in said, said


@case
def an_app_is_built_tested_and_started_by_cmake(package):
    code, said = package.configure()
    assert code == 0, said
    run("ninja", "-C", "build", cwd=package.shop)
    run("ctest", "--test-dir", "build", "--output-on-failure", cwd=package.shop)
    greet(package.shop, package.shop / "build/shop", find(package.root, "bin/m3ctl"))


@case
def cmake_generates_again_what_a_changed_proto_has_a_part_in(package):
    def dry():
        return output_of("ninja", "-C", package.shop / "build", "-n")
    assert "Generating" not in dry(), dry()
    for proto in (package.shop / "shop.proto", package.prefix / "share/m3/proto/m3/options.proto"):
        before = proto.stat()
        os.utime(proto)
        assert "Generating shop.proto" in dry(), f"after a change of {proto}: {dry()}"
        os.utime(proto, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "Generating" not in dry(), dry()


@case
def cmake_says_what_is_wrong_with_the_use_of_m3(package):
    find_m3 = "project(other CXX)\nfind_package(m3 REQUIRED)\n"
    add = find_m3 + "file(WRITE x.cpp)\nadd_executable(x x.cpp)\n"
    other = package.folder / "other"
    package.refused(add + "m3_add_protos(x hello.proto)\n", f"m3_add_protos(x): there is no file {other}/hello.proto")
    package.refused(add + "m3_add_protos(x)\n", "m3_add_protos(x): name the .proto files")
    package.refused(add + "m3_add_protos(y hello.proto)\n", 'there is no target "y"; write add_executable(y ...)')
    package.refused(add + "m3_add_protos(x ../shop/shop.proto)\n", "../shop/shop.proto is not a .proto file in " + str(other))
    package.refused("project(other CXX)\nfind_package(m3 REQUIRED COMPONENTS actors)\n", 'm3 has no component "actors"')
    package.refused("project(other CXX)\nfind_package(m3 0.9 REQUIRED)\n", 'compatible with requested version "0.9"')
    package.refused(find_m3, "Package 'protobuf', required by 'm3', not found", PKG_CONFIG_LIBDIR="/nowhere")
    package.refused("project(other C)\nfind_package(m3 REQUIRED)\n", "write project(NAME CXX)", build="build-c")


@case
def cmake_refuses_a_compiler_that_gets_coroutines_wrong(package):
    probe = find(package.root, "compiler_probe.cpp")
    sound = probe.read_text()
    probe.write_text('#include <cstdio>\nint main() { return std::puts("a temporary was destroyed twice") < 0 ? 0 : 1; }\n')
    try:
        package.refused("project(other CXX)\nfind_package(m3 REQUIRED)\n", "miscompiles C++20 coroutines",
                        "a temporary was destroyed twice", "clang 19", build="build-probe")
    finally:
        probe.write_text(sound)


def main(build, words):
    if shutil.which("dpkg-deb") is None:
        return case.skip("package", "dpkg-deb is not installed: a .deb is made on Debian")
    with tempfile.TemporaryDirectory(prefix="m3-package-") as folder:
        package = Package(build, pathlib.Path(folder))
        return case.run("package", words, lambda: contextlib.nullcontext(package))


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]))
