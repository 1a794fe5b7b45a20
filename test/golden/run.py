#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Golden tests of protoc-gen-m3.

proto/**.proto   must generate expected/**.m3.h and expected/**.m3.cc, byte for byte.
refused/*.proto  must be refused with the errors that stand in a comment at the file's end, and generate nothing.
misuse/*.cpp     must not compile, with the words of their `// error:` line in what the compiler says.

run.py --protoc PROTOC --plugin PLUGIN [--protos DIR] [--compile COMMAND...] [--update]
With --update, what is generated or said now becomes what is expected: look at the diff before you commit it.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
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


def misused(arguments, report):
    for source in sorted((HERE / "misuse").glob("*.cpp")):
        wanted = [line.removeprefix("// error: ") for line in source.read_text(encoding="utf-8").splitlines()
                  if line.startswith("// error: ")]
        done = subprocess.run(arguments.compile + ["-fsyntax-only", str(source)], capture_output=True, text=True,
                              check=False)
        problem = "" if wanted else "  it has no `// error: ` line\n"
        problem += "" if done.returncode else "  it compiles\n"
        for words in wanted:
            if done.returncode and words not in done.stderr:
                problem += f"  the compiler does not say {words!r}, but:\n{done.stderr}"
        report.case(f"golden: {source.name} does not compile", problem)


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
