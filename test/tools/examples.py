#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The examples of the pages and of the public headers compile, and their configurations are accepted.

examples.py --protoc PROTOC --plugin PLUGIN --compile COMMAND...     C++ and .proto
examples.py --app SIMPLE --m3ctl M3CTL                               TOML

Examples are the fences of README.md, CONTRIBUTING.md and docs/, which all name their language, and in m3's public headers
the code of comments: lines with three or more blanks after the slashes that are no list.

A C++ example whose first line is `// name.h` and that has an #include is a file; any other one stands in a namespace of its own.
What is not a list of declarations has a context of example_contexts.inc around it. A page names it right above the fence:
`<!-- example: statements of a handler -->`; for the examples of a header, its path is the name, or its path and which of
them: `m3/async/leaf.h 2`. A .proto example whose first line is `// name.proto` can be included by C++ ones: "name.m3.h".
`<!-- not compiled: why -->` excuses one.

The pages of PLAYED are left to test/process/pages_test.py. Those of SHOWN print the files of an app: each file of the folder is in a
fence that begins with its name, word for word.
"""
import argparse
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from cases import note

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTEXTS = "test/tools/example_contexts.inc"
APP = ("apps/simple", "proto/simple.proto")  # whose service and client the pages use
CHECKED = ("cpp", "proto", "toml")
PLAYED = ("docs/hello.md", "docs/tutorial.md")
SHOWN = {"README.md": "apps/hello", "docs/hello.md": "apps/hello"}
MISSPELT = {"c++": "cpp", "cc": "cpp", "cxx": "cpp", "protobuf": "proto"}
MARK = re.compile(r"<!-- (example|not compiled): (.+) -->")
SPACE, BLANK_COMMENT = " " * 4, re.compile(r"\s*///?$")
CODE_COMMENT = re.compile(r"\s*///? {3}( *\S.*)")
LIST_COMMENT = re.compile(r"\s*///? *- ")
FAULT = re.compile(r"^(?:\./)?([^\s:]+):(\d+):(?:\d+:)? (?:fatal )?error: ", re.MULTILINE)


@dataclasses.dataclass
class Example:
    place: str  # the file that has it
    line: int  # of its first line there
    language: str
    text: str
    context: str = ""  # "": declarations

    def file_name(self):
        """Of an example that is a file: "main.cpp"."""
        first = re.match(r"// (\S+\.(?:h|cpp|proto))\n", self.text)
        whole = self.language == "proto" or "#include" in self.text
        return first[1] if first and whole else None

    def at_its_line(self):
        """So that whoever reads it counts lines as the page does."""
        return "\n" * (self.line - 1) + self.text


class Findings:
    """What was found wrong, by the file that has it."""

    def __init__(self):
        self.by_place = {}

    def looked_at(self, place):
        self.by_place.setdefault(place, [])

    def add(self, place, line, text):
        self.by_place.setdefault(place, []).append(f"{place}:{line}: {text}")


def page_examples(place, text, findings):
    """The examples of a page."""
    out, mark, fence = [], None, None
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        if fence:
            if line.startswith("```"):
                if fence.language in CHECKED and not (mark and mark[1] == "not compiled"):
                    fence.context = mark[2] if mark else ""
                    out.append(fence)
                mark, fence = None, None
            else:
                fence.text += line + "\n"
        elif line.startswith("```"):
            language = line[3:].strip()
            if not language or language in MISSPELT:
                findings.add(place, number, f"write ```{MISSPELT.get(language, 'text')}, or what else it is")
            fence = Example(place, number + 1, language, "")
        else:
            if mark:
                findings.add(place, number - 1, "no fence follows this mark")
            mark = MARK.fullmatch(line)
            if line.startswith("<!--") and not mark:
                findings.add(place, number, "no such mark: <!-- example: CONTEXT --> or <!-- not compiled: WHY -->")
            if line.startswith(SPACE) and not before.strip():
                findings.add(place, number, "a block without a fence: write ```cpp, or what else it is, above it")
        before = line
    if fence:
        findings.add(place, fence.line - 1, "a fence that does not end")
    return out


def header_examples(place, text):
    """The examples in the comments of a header."""
    out, example, listed = [], None, False
    for number, line in enumerate(text.split("\n") + [""], 1):
        code = CODE_COMMENT.match(line)
        listed = bool(LIST_COMMENT.match(line) or code and listed and not example)
        if code and not listed:
            if not example:
                example = Example(place, number, "cpp", "", place)
            example.text += code[1] + "\n"
        elif example and BLANK_COMMENT.match(line):
            example.text += "\n"
        elif example:
            out.append(example)
            example = None
    return out


class Contexts:
    """Sections of example_contexts.inc, each from a line `//! KIND NAME` on: `file` (a .proto of its own), `context`, and
    `includes`, which stand above all examples. EXAMPLE is the place of the example."""

    def __init__(self, place, text):
        self.place, self.used = place, set()
        self.sections = {}
        for number, line in enumerate(text.split("\n"), 1):
            if begin := re.fullmatch(r"//! (\w+) ?(.*)", line):
                section = self.sections.setdefault((begin[1], begin[2]), [number + 1, ""])
            elif self.sections:
                section[1] += line + "\n"

    def files(self):
        return [Example(self.place, line, "proto", text) for (kind, _), (line, text) in self.sections.items() if kind == "file"]

    def includes(self):
        return self.sections.get(("includes", ""), [1, ""])[1]

    def around(self, example, which, findings):
        """What stands before and behind an example, and the lines of both."""
        names = [f"{example.context} {which}", example.context]
        found = next((name for name in names if ("context", name) in self.sections), None)
        if found is None:
            if example.context and example.context != example.place:
                findings.add(example.place, example.line - 2, f"{self.place} has no context \"{example.context}\"")
            return "", "", 1, 1
        self.used.add(found)
        line, text = self.sections["context", found]
        head, _, tail = text.partition("EXAMPLE\n")
        return head, tail, line, line + head.count("\n") + 1

    def report_unused(self, findings):
        for (kind, name), (line, text) in self.sections.items():
            if kind == "context" and name not in self.used:
                findings.add(self.place, line - 1, f"no example uses the context \"{name}\"")
            if kind == "context" and text.count("EXAMPLE\n") != 1:
                findings.add(self.place, line, "a context has one line EXAMPLE")


def collect(root, findings):
    """All examples below a folder."""
    out = []
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    headers = sorted(path for path in (root / "m3").rglob("*.h") if "detail" not in path.parts)
    for path in [path for path in pages if path.exists()] + headers:
        place = str(path.relative_to(root))
        if place in PLAYED:
            continue
        text = path.read_text(encoding="utf-8")
        out += header_examples(place, text) if path.suffix == ".h" else page_examples(place, text, findings)
    return out


def check_shown(root, findings):
    """The pages that print an app's files have them as they are."""
    for place, folder in SHOWN.items():
        files = [path for path in sorted((root / folder).glob("*")) if path.suffix in (".cpp", ".proto", ".toml")]
        text = (root / place).read_text(encoding="utf-8") if files else ""
        for path in files:
            findings.looked_at(place)
            content = re.sub(r"\A(//|#) SPDX-License-Identifier: .*\n", "", path.read_text(encoding="utf-8"))
            mark = "#" if path.suffix == ".toml" else "//"
            head = f"```{path.suffix[1:]}\n{mark} {path.name}\n"
            before, found, printed = text.partition(head)
            line = before.count("\n") + 1
            if not found:
                findings.add(place, 1, f"no fence is {folder}/{path.name}: it begins with {mark} {path.name}")
            elif not printed.startswith(content + "```\n"):
                same = os.path.commonprefix([printed, content + "```\n"]).count("\n")
                findings.add(place, line + 2 + same, f"this is not what {folder}/{path.name} says")


def run(command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def unbalanced(text):
    """A brace too many or too few would make the compiler see the fault in another example."""
    bare = re.sub(r'//.*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', "", text)
    return bare.count("{") != bare.count("}")


class Compiler:
    """Generates and compiles in a folder of its own."""

    def __init__(self, arguments, root, folder, findings):
        self.arguments, self.root, self.folder, self.findings = arguments, root, folder, findings

    def protos(self, examples, contexts):
        """True: what C++ examples include of them is there."""
        source = self.folder / "proto"
        source.mkdir()
        good = True
        whole = [example for example in examples if example.file_name()]
        for example in whole:
            (source / example.file_name()).write_text(example.at_its_line(), encoding="utf-8")
        if (self.root / APP[0] / APP[1]).exists():
            good = self.generate(self.root / APP[0], APP[1], self.folder, None)
        for example in whole:
            good = self.generate(source, example.file_name(), self.folder, example) and good
        for number, example in enumerate(example for example in examples if not example.file_name()):
            own, out = self.folder / f"proto{number}", self.folder / f"out{number}"
            own.mkdir()
            out.mkdir()
            head, tail, _, _ = contexts.around(example, 1, self.findings)
            # On the line of its first line, so that the lines are the page's.
            text = "\n" * (example.line - 1) + head.replace("\n", " ") + example.text + tail
            (own / "example.proto").write_text(text, encoding="utf-8")
            self.generate(own, "example.proto", out, example)
        return good

    def generate(self, source, name, out, example):
        done = run([self.arguments.protoc, f"--plugin=protoc-gen-m3={self.arguments.plugin}", f"-I{source}",
                    f"-I{self.root / 'proto'}", f"--cpp_out={out}", f"--m3_out={out}", name])
        if done.returncode == 0:
            return True
        for line in done.stderr.splitlines():
            at = re.match(rf"{re.escape(str(name))}:(\d+):(?:\d+:)? ?(.*)", line)
            if example:
                self.findings.add(example.place, at[1] if at else example.line, at[2] if at else line)
            else:
                self.findings.add(source / name, at[1] if at else 1, line)
        return False

    def cpp(self, examples, contexts):
        units, body = [], ""
        included = contexts.includes() + "namespace m3 {}\n"
        counts = {}
        for number, example in enumerate(examples):
            counts[example.place] = counts.get(example.place, 0) + 1
            head, tail, line, tail_line = contexts.around(example, counts[example.place], self.findings)
            if unbalanced(example.text):
                self.findings.add(example.place, example.line, "its braces do not match")
            elif name := example.file_name():
                file = self.folder / "pages" / example.place / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f'#line {example.line} "{example.place}"\n{example.text}', encoding="utf-8")
                units += [file] if file.suffix == ".cpp" else []
            else:
                for include in re.findall(r"^#include .*\n", example.text, re.MULTILINE):
                    at = example.line + example.text[:example.text.index(include)].count("\n")
                    included += f'#line {at} "{example.place}"\n{include}'
                fragment = re.sub(r"^#include .*", "", example.text, flags=re.MULTILINE)
                inside = "using namespace m3;" if example.place.endswith(".h") else ""
                body += (f'namespace example_{number} {{ {inside}\n'
                         f'#line {line} "{contexts.place}"\n{head}#line {example.line} "{example.place}"\n{fragment}'
                         f'#line {tail_line} "{contexts.place}"\n{tail}}}\n')
        fragments = self.folder / "fragments.cpp"
        fragments.write_text(included + body, encoding="utf-8")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(self.compile, [fragments, *units]))

    def compile(self, unit):
        done = run([*self.arguments.compile, "-fsyntax-only", "-Werror=unused-result", "-Werror=return-type",
                    f"-I{unit.parent}", f"-I{self.folder}", f"-I{self.root / APP[0]}", unit], cwd=self.root)
        if done.returncode == 0:
            return
        print(done.stderr, end="", flush=True)
        faults = list(FAULT.finditer(done.stderr))
        for fault in faults:
            text = done.stderr[fault.end():].split("\n", 1)[0]
            self.findings.add(fault[1].replace(str(self.folder), "(generated)"), fault[2], text)
        if not faults:
            self.findings.add(unit.name, 1, f"the compiler ended with {done.returncode}")


def check_toml(arguments, root, folder, examples, findings):
    for example in examples:
        path = folder / "pages" / example.place
        path.parent.mkdir(parents=True, exist_ok=True)
        # The app's own file, where the page's cluster file looks for it.
        for config in re.findall(r'^config = "(.*)"', example.text, re.MULTILINE):
            used = (path.parent / config).resolve()
            assert folder in used.parents, f"{example.place} names {config}, which is not beside it"
            used.write_text((root / "configs" / used.name).read_text(encoding="utf-8"), encoding="utf-8")
        path.write_text(example.at_its_line(), encoding="utf-8")
        tokens = {name: hashlib.sha256(name.encode()).hexdigest() for name in re.findall(r"\$\{(\w+)\}", example.text)}
        if "[[app]]" in example.text:
            command = [arguments.m3ctl, "up", path, "--check"]
        else:
            command = [arguments.app, "--check-config", "--config", path]
        done = run(command, env={**os.environ, **tokens}, timeout=120)
        if done.returncode != 0:
            at = re.search(rf"{re.escape(path.name)}:(\d+): (.*)", done.stderr)
            findings.add(example.place, at[1] if at else example.line, at[2] if at else done.stderr + done.stdout)


def check(arguments, root):
    """What is wrong, by file; a file with nothing wrong has an empty list."""
    findings = Findings()
    examples = collect(root, findings)
    contexts = Contexts(CONTEXTS, (root / CONTEXTS).read_text(encoding="utf-8"))
    wanted = ("toml",) if arguments.app else ("cpp", "proto")
    for example in examples:
        if example.language in wanted:
            findings.looked_at(example.place)
    of = {language: [one for one in examples if one.language == language] for language in CHECKED}
    with tempfile.TemporaryDirectory(prefix="m3-examples-") as folder:
        folder = pathlib.Path(folder)
        if arguments.app:
            check_toml(arguments, root, folder, of["toml"], findings)
            return findings.by_place
        compiler = Compiler(arguments, root, folder, findings)
        check_shown(root, findings)
        if compiler.protos(contexts.files() + of["proto"], contexts):
            compiler.cpp(of["cpp"], contexts)
            contexts.report_unused(findings)
    return findings.by_place


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protoc")
    parser.add_argument("--plugin")
    parser.add_argument("--app")
    parser.add_argument("--m3ctl")
    parser.add_argument("--compile", nargs=argparse.REMAINDER)
    arguments = parser.parse_args(words)
    if not (arguments.app and arguments.m3ctl or arguments.protoc and arguments.plugin and arguments.compile):
        parser.error("give --protoc, --plugin and --compile, or --app and --m3ctl")
    return arguments


def main():
    found = check(parse(sys.argv[1:]), ROOT)
    for place, faults in sorted(found.items(), key=lambda item: str(item[0])):
        note("fail" if faults else "pass", f"examples: {place}")
        print("".join(f"{fault}\n" for fault in faults), end="")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
