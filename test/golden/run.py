#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Golden tests of protoc-gen-m3.

proto/**.proto   must generate expected/**.m3.h and expected/**.m3.cc, byte for byte.
refused/*.proto  must be refused with the errors that stand in a comment at the file's end, and generate nothing.
misuse.txt       has code that must not compile, and all errors that the compiler must report for it.

run.py --protoc PROTOC --plugin PLUGIN [--protos DIR] [--compile COMMAND...] [--update]
With --update, what is generated or said now becomes what is expected: look at the diff before you commit it.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from case_table import difference, read_table, write_table  # noqa: E402
from cases import note  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TRAILER = "\n// expected:\n"


class Report:
    """Prints one line a case, and writes it where the counting script looks."""

    def __init__(self):
        self.failed = 0

    def case(self, name, problem):
        note("fail" if problem else "pass", name)
        if problem:
            print(problem)
        self.failed += bool(problem)


def generate(arguments, root, proto, out):
    """Runs protoc on one file, as a build does; gives its exit code and what it said."""
    command = [arguments.protoc, f"--plugin=protoc-gen-m3={arguments.plugin}", f"-I{root}", f"-I{arguments.protos}",
               f"--m3_out={out}", str(proto)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def first_difference(expected, actual):
    for number, (left, right) in enumerate(zip(expected + [None], actual + [None]), 1):
        if left != right:
            return f"  line {number}\n  - {left}\n  + {right}"
    return ""


def check_expected(path, text, update):
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not path.exists():
        return f"  {path} is missing: run with --update"
    expected = path.read_text(encoding="utf-8")
    if expected == text:
        return ""
    return f"  {path}\n" + first_difference(expected.split("\n"), text.split("\n"))


def generated(arguments, report):
    root, produced = HERE / "proto", set()
    for proto in sorted(root.rglob("*.proto")):
        name = proto.relative_to(root)
        with tempfile.TemporaryDirectory() as out:
            code, said = generate(arguments, root, name, out)
            problem = said if code or said else ""
            for suffix in (".m3.h", ".m3.cc"):
                file = name.with_suffix(suffix)
                produced.add(file)
                if not problem:
                    text = (pathlib.Path(out) / file).read_text(encoding="utf-8")
                    problem = check_expected(HERE / "expected" / file, text, arguments.update)
        report.case(f"golden: {name} generates what is expected", problem)
    stored = {file.relative_to(HERE / "expected") for file in (HERE / "expected").rglob("*.m3.*")}
    stale = ", ".join(str(file) for file in sorted(stored - produced))
    report.case("golden: every expected file has its .proto", stale and "  no .proto for " + stale)


def refused(arguments, report):
    root = HERE / "refused"
    for proto in sorted(root.glob("*.proto")):
        source, _, expected = proto.read_text(encoding="utf-8").partition(TRAILER)
        if proto.stem.endswith("_only"):  # imported by others
            continue
        with tempfile.TemporaryDirectory() as out:
            code, said = generate(arguments, root, proto.name, out)
            left = [str(file) for file in pathlib.Path(out).rglob("*")]
        trailer = "".join(f"// {line}\n" for line in said.splitlines())
        if arguments.update:
            proto.write_text(source + TRAILER + trailer, encoding="utf-8")
            expected = trailer
        problem = "" if code == 1 else f"  protoc ended with {code}, not with 1\n"
        problem += f"  it was refused, but {left} were written\n" if left else ""
        problem += first_difference(expected.splitlines(), trailer.splitlines())
        report.case(f"golden: {proto.name} is refused", problem)


def errors_in(said, name):
    """"LINE: text" of each error that the compiler reported, where LINE is the one of the case that is to blame."""
    parts = re.split(r"^(\S+?):(\d+):\d+: (?:fatal )?error: (.*)$", said, flags=re.M)
    out = []
    for at in range(1, len(parts), 4):
        file, line, text, after = parts[at:at + 4]
        # An error in a header of m3: clang says behind it, and gcc before it, what of the case led there.
        blamed = re.findall(rf"^{re.escape(name)}:(\d+):", after, re.M) or re.findall(rf"^{re.escape(name)}:(\d+):", parts[at - 1], re.M)
        text = re.sub(r"^static assertion failed(?: due to requirement .*?')?: ", "", text)
        text = re.sub(r"^ignoring return value of .*declared with (?:attribute )?'nodiscard'(?: attribute)?: ", "not used: ", text)
        text = re.sub(r" \[-W[^]]*\]$", "", text)
        out.append(f"{line if file == name else blamed[0] if blamed else '?'}: {text}\n")
    return "".join(out)


def misused(arguments, report):
    is_clang = "clang" in subprocess.run(arguments.compile + ["--version"], capture_output=True, text=True, check=True).stdout
    table = HERE / "misuse.txt"
    head, cases = read_table(table)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        command = arguments.compile + ["-fno-color-diagnostics" if is_clang else "-fdiagnostics-color=never", "-Werror=return-type",
                                       "-ferror-limit=0" if is_clang else "-fmax-errors=0"]
        preamble = folder / "preamble.h"
        preamble.write_text((HERE / "misuse_preamble.h").read_text(encoding="utf-8"), encoding="utf-8")
        subprocess.run(command + ["-x", "c++-header", str(preamble), "-o", f"{preamble}.gch"], check=True)
        for case in cases:
            title, code, expected = case
            if title.endswith("(clang)") and not is_clang:
                continue
            (folder / "case.cpp").write_text(code, encoding="utf-8")
            done = subprocess.run(command + ["-include", str(preamble), "-fsyntax-only", "case.cpp"], capture_output=True, text=True,
                                  check=False, cwd=folder)
            said = errors_in(done.stderr, "case.cpp")
            if not is_clang:  # what gcc adds behind the sentence is its own
                said, expected = said.partition("\n")[0], expected.partition("\n")[0]
            problem = "" if done.returncode else "  it compiles\n"
            problem += difference(expected, said)
            if arguments.update and is_clang:
                case[2] = said
            report.case(f"golden: {title} does not compile", problem and problem + done.stderr)
    if arguments.update and is_clang:
        write_table(table, head, cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protoc", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--protos", default=str(HERE.parents[1] / "proto"))
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--compile", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    report = Report()
    generated(arguments, report)
    refused(arguments, report)
    if arguments.compile:
        misused(arguments, report)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
