#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Finds what the project does not allow; prints one `file:line: what is wrong` each. Usage: lint.py [ROOT] [--no-format]

 - includes against the order of the rooms (ORDER below), of another room's detail/, of plugins from m3/
 - Asio, Beast, toml++, spdlog, hiredis, OpenSSL in a header that other rooms may include, also by way of other headers
 - a source file without its SPDX line, a header without #pragma once, a room without README.md
 - a README of a room that does not name its public headers, or names a file that is not there
 - files of more than 600 lines, leftovers, paths of one machine, files that ./dev fmt would change
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

ORDER = [["base"], ["wire", "config", "obs"], ["async"], ["plugin"], ["net"], ["http", "rpc"],
         ["mesh", "admin", "resource"], ["data"], ["actor", "gate"], ["app"], ["testing"]]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
# The header by which plugins reach Asio, and m3/net's way to the reactor; both for .cpp files.
ASIO_HEADERS = ("m3/async/asio.h", "m3/async/edge_op.h")
HEAVY = re.compile(r"(boost/(asio|beast)|toml\+\+|spdlog|hiredis|openssl)[/.]")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
CODE = (".h", ".cpp", ".cc")
SCRIPTS = (".py", ".sh", ".proto", ".mjs", ".js")
SPDX_NAMES = ("meson.build", "meson_options.txt", "dev", ".clang-format", ".clang-tidy", "run")
SPDX = "SPDX-License-Identifier: BSL-1.0"
MAX_LINES = 600
COMMITS = 20  # that are looked at
LEFTOVER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE_PATH = "/wo" + "rk/"
# Text that must stay as others wrote it, or as a generator writes it.
VERBATIM = re.compile(r"^test/(golden|seed)/.*\.(proto|h|cc)$|^test/golden/.*expected|^subprojects/|^test/fuzz/corpus/")


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(name for name in self.list_files() if (self.root / name).is_file())
        self.texts = {}
        self.findings = []

    def list_files(self):
        git = subprocess.run(["git", "-C", str(self.root), "ls-files", "-co", "--exclude-standard"],
                             capture_output=True, text=True, check=False)
        if git.returncode == 0:
            return git.stdout.splitlines()
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(("build", ".git"))]
            found += [os.path.relpath(os.path.join(folder, name), self.root) for name in names]
        return found

    def lines(self, name):
        """The lines of a text file; none for a binary one."""
        if name not in self.texts:
            data = (self.root / name).read_bytes()
            try:
                self.texts[name] = [] if b"\0" in data else data.decode().splitlines()
            except UnicodeDecodeError:
                self.texts[name] = []
        return self.texts[name]

    def includes(self, name):
        """(line number, quoted?, path) of each #include."""
        for number, line in enumerate(self.lines(name), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1] == '"', match[2]

    def report(self, name, line, text):
        self.findings.append((name, line, text))


def home_of(name):
    """The folder that owns a file: m3/net, plugins/broker/nats, plugins/client/redis, apps, codegen, test ..."""
    parts = name.split("/")
    if parts[0] == "m3" and len(parts) > 2:
        return "/".join(parts[:2])
    if parts[0] == "plugins" and len(parts) > 3:
        return "/".join(parts[:3])
    return parts[0]


def include_error(name, path):
    """Why the file `name` may not include "path"; None when it may."""
    home, target = home_of(name), home_of(path)
    if home == "test":
        return None
    if "/detail/" in path and home != target:
        return f"{path} is internal to {target}"
    if target == "m3/testing" and home != "m3/testing":
        return "m3/testing is for tests only"
    if home.startswith("m3/"):
        if target.split("/")[0] in ("plugins", "apps", "codegen", "test"):
            return f"m3 must not know {target}"
        room, other = home[3:], target[3:]
        if target.startswith("m3/") and target != home and not RANK.get(other, 99) < RANK.get(room, -1):
            return f"m3/{room} must not include m3/{other}: the order is " + \
                " < ".join("|".join(rooms) for rooms in ORDER)
    if home.startswith("plugins/") and target.startswith("plugins/"):
        if target != home and not target.startswith("plugins/client/"):
            return f"{home} may include plugins/client and no other plugin"
    if home == "codegen" and target.startswith("m3/") and target != "m3/base":
        return "codegen may include m3/base only"
    return None


def check_includes(tree):
    for name in tree.files:
        if not name.endswith(CODE) or VERBATIM.search(name):
            continue
        for number, quoted, path in tree.includes(name):
            if quoted:
                error = include_error(name, path)
                if error:
                    tree.report(name, number, error)
            if name.startswith("m3/base/") and (path.endswith(".pb.h") or "google/protobuf" in path):
                tree.report(name, number, "m3/base knows no protobuf library")


def is_public_header(name):
    return name.endswith(".h") and name.startswith(("m3/", "plugins/")) and "/detail/" not in name \
        and not name.startswith("m3/testing/") and name not in ASIO_HEADERS


def heavy_include(tree, name, seen):
    """The way by which a header reaches a heavy library, as text; None when it does not."""
    if name in seen:
        return None
    seen.add(name)
    for _, quoted, path in tree.includes(name):
        if HEAVY.match(path):
            return f"<{path}>"
        if quoted and path in tree.known:
            way = heavy_include(tree, path, seen)
            if way:
                return f"{path}: {way}"
    return None


def check_heavy_headers(tree):
    tree.known = set(tree.files)
    for name in filter(is_public_header, tree.files):
        for number, quoted, path in tree.includes(name):
            if HEAVY.match(path):
                tree.report(name, number, f"<{path}> belongs into .cpp files and detail/ headers")
            elif quoted and path in tree.known:
                way = heavy_include(tree, path, set())
                if way:
                    tree.report(name, number, f"{path} brings in {way}: keep it to .cpp files and detail/ headers")


def check_texts(tree):
    for name in tree.files:
        lines = tree.lines(name)
        base = os.path.basename(name)
        if VERBATIM.search(name) or not lines:
            continue
        source = name.endswith(CODE + SCRIPTS) or base in SPDX_NAMES
        if source:
            first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
            if SPDX not in first:
                tree.report(name, 1, f"the first line is not '{SPDX}'")
            if len(lines) > MAX_LINES:
                tree.report(name, len(lines), f"{len(lines)} lines: more than {MAX_LINES}, is this still one thing?")
        if name.endswith(".h") and "#pragma once" not in lines:
            tree.report(name, 1, "a header without #pragma once")
        for number, line in enumerate(lines, 1):
            if LEFTOVER.search(line):
                tree.report(name, number, f"'{LEFTOVER.search(line)[0]}': do it now, or write down what is planned")
            if MACHINE_PATH in line:
                tree.report(name, number, f"'{MACHINE_PATH}' is a path of one machine")


def check_readmes(tree):
    rooms = {"/".join(name.split("/")[:2]) for name in tree.files if name.startswith("m3/") and name.count("/") > 1}
    for room in sorted(rooms):
        if f"{room}/README.md" not in tree.files:
            tree.report(room, 1, "a room without README.md: ten lines on what it is and who may use it")
            continue
        check_file_list(tree, room)


def check_file_list(tree, room):
    """Every header of the room is in its README, and every header that the README names exists."""
    readme = f"{room}/README.md"
    text = "\n".join(tree.lines(readme))
    named = set(re.findall(r"`((?:detail/)?\w+\.(?:h|cpp))`", text))
    for name in sorted(named):
        if f"{room}/{name}" not in tree.files:
            tree.report(readme, 1, f"it names {name}, which is not there")
    for name in tree.files:
        if name.startswith(f"{room}/") and name.endswith(".h") and name.count("/") == 2:
            header = name.rsplit("/", 1)[1]
            if header not in named:
                tree.report(readme, 1, f"it does not name {header}")


def check_format(tree):
    program = shutil.which("clang-format-19") or shutil.which("clang-format")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout if program else ""
    if " 19." not in version:
        print("format not checked: clang-format-19 is not installed (./dev fmt installs it)")
        return
    names = [name for name in tree.files if name.endswith((".h", ".cpp")) and not VERBATIM.search(name)]
    if not names:
        return
    result = subprocess.run([program, "--dry-run", "-Werror", *names], cwd=tree.root, capture_output=True, text=True,
                            check=False)
    wrong = {}
    for line in result.stderr.splitlines():
        match = re.match(r"(.+?):(\d+):\d+: error: code should be clang-formatted", line)
        if match:
            wrong.setdefault(match[1], int(match[2]))
    for name, line in wrong.items():
        tree.report(name, line, "not formatted: ./dev fmt")
    if result.returncode != 0 and not wrong:
        tree.report(".clang-format", 1, result.stderr.strip() or "clang-format failed")


def subject_faults(subject):
    if len(subject) > 72:
        yield f"its subject has {len(subject)} columns, at most 72"
    if not re.match(r"[a-z0-9_.-]+: \S", subject):
        yield 'its subject is not "room: what it does"'


def check_commits(tree):
    """The last commits, where there is a repository: "room: what it does", in 72 columns."""
    log = subprocess.run(["git", "-C", str(tree.root), "log", f"-{COMMITS}", "--no-merges", "--format=%h %s"],
                         capture_output=True, text=True, check=False)
    for line in log.stdout.splitlines() if log.returncode == 0 else ():
        commit, subject = line.split(" ", 1)
        for fault in subject_faults(subject):
            tree.report(commit, 1, fault)


def lint(root, with_format=True):
    tree = Tree(root)
    for check in (check_includes, check_heavy_headers, check_texts, check_readmes, check_commits):
        check(tree)
    if with_format:
        check_format(tree)
    return sorted(tree.findings)


def main(arguments):
    with_format = "--no-format" not in arguments
    roots = [argument for argument in arguments if not argument.startswith("--")]
    root = roots[0] if roots else pathlib.Path(__file__).resolve().parents[2]
    findings = lint(root, with_format)
    for name, line, text in findings:
        print(f"{name}:{line}: {text}")
    print(f"lint: {len(findings)} findings" if findings else "lint: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
