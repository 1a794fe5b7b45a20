#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plants one wrong example at a time in a small tree; examples.py must find each, at its line, and nothing in the clean tree.

examples_test.py --protoc PROTOC --plugin PLUGIN --compile COMMAND...
"""
import pathlib
import stat
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import examples  # noqa: E402
from cases import note  # noqa: E402

CONTEXTS = """//! includes
#include "hello.pb.h"

//! context statements
int twice(int value) {
EXAMPLE
}

//! context an rpc
syntax = "proto3";
message Req {}
service Hello {
EXAMPLE
}

//! context m3/base/two.h 2
void second() {
EXAMPLE
}
"""
HELLO = "```proto\n// hello.proto\nsyntax = \"proto3\";\npackage hello;\nmessage Req { string name = 1; }\n```\n"
HEADER = "/// Adds:\n///\n///   struct Plus {\n///     int sum = 1 + 1;\n///   };\n///\n/// - a list\n///   that goes on\n///   and on\n" \
         "int plus();\n/// Text.\n///   int three = 3; (void)three;\n"

CLEAN = {
    examples.CONTEXTS: CONTEXTS,
    "README.md": HELLO + "\n<!-- example: statements -->\n```cpp\nhello::Req req;\nreturn 2 * value;\n```\n",
    "apps/hello/hello.proto": "// SPDX-License-Identifier: BSL-1.0\nsyntax = \"proto3\";\npackage hello;\nmessage Req { string name = 1; }\n",
    "docs/hello.md": HELLO + "\n```cpp\nplayed elsewhere\n```\n",
    "docs/files.md": "```cpp\n// one.h\n#pragma once\n#include <string>\nstd::string one();\n```\n"
                     "```cpp\n// one.cpp\n#include \"one.h\"\nstd::string one() { return \"{\"; }\n```\n",
    "docs/rpc.md": "- a list\n\n<!-- example: an rpc -->\n```proto\nrpc Say(Req) returns (Req);\n```\n"
                   "<!-- not compiled: it is a joke -->\n```cpp\nhaha\n```\n```sh\nrm -r nothing\n```\n",
    "docs/toml.md": "Write\n\n```toml\nlisten = 1\nkey = \"${KEY}\"\n```\n",
    "m3/base/two.h": HEADER,
    "proto/m3/none.txt": "",
    "m3/base/detail/inner.h": "//   not looked at\n",
}

# What is planted, in one tree for each list: file, old text, new text, the finding.
PLANTED = [
    [("README.md", "2 * value", "2 * valu", "README.md:11: use of undeclared identifier 'valu'"),
     ("docs/files.md", "std::string one();", "std::strin one();", "docs/files.md:5: no type named 'strin'"),
     ("docs/rpc.md", "(Req);", "(Rsp);", "docs/rpc.md:5: \"Rsp\" is not defined."),
     ("docs/rpc.md", "```sh", "```", "docs/rpc.md:11: write ```text"),
     ("m3/base/two.h", "1 + 1", "1 + one", "m3/base/two.h:4: use of undeclared identifier 'one'"),
     ("m3/base/two.h", "(void)three", "(void)four", "m3/base/two.h:12: use of undeclared identifier 'four'"),
     (examples.CONTEXTS, "//! context an rpc", "//! context unused\nEXAMPLE\n\n//! context an rpc", 'no example uses the context "unused"')],
    [("README.md", "hello::Req", "hello::Request", "README.md:10: no type named 'Request'"),
     ("README.md", "example: statements", "example: statement", 'README.md:8: test/tools/example_contexts.inc has no context "statement"'),
     ("docs/files.md", "return \"{\"", "return nothing", "docs/files.md:10: use of undeclared identifier 'nothing'"),
     ("docs/rpc.md", "- a list\n", "    int x = y;\n", "docs/rpc.md:1: a block without a fence"),
     ("docs/rpc.md", "nothing\n```\n", "nothing\n", "docs/rpc.md:11: a fence that does not end"),
     (examples.CONTEXTS, "void second() {", "void second(None) {", "test/tools/example_contexts.inc:17: ")],
    [("README.md", "value;\n", "value; }\n", "README.md:10: its braces do not match"),
     ("docs/files.md", "```cpp\n// one.cpp", "```c++\n// one.cpp", "docs/files.md:7: write ```cpp"),
     ("docs/rpc.md", "example: an rpc", "exmple: an rpc", "docs/rpc.md:3: no such mark"),
     ("docs/rpc.md", "joke -->\n", "joke -->\n\n", "docs/rpc.md:7: no fence follows this mark"),
     (examples.CONTEXTS, "void second() {\nEXAMPLE\n", "void second() {\n", "has one line EXAMPLE")],
    [("README.md", "hello::Req req;\n", "hello::Req req;\n#include \"none.h\"\n", "README.md:11: 'none.h' file not found")],
    [("README.md", "string name", "strin name", "README.md:5: \"strin\" is not defined."),
     ("README.md", "strin name", "strin name", "README.md:5: this is not what apps/hello/hello.proto says"),
     ("docs/hello.md", "// hello.proto", "// hallo.proto", "docs/hello.md:1: no fence is apps/hello/hello.proto")],
]

# The same with an app that is a script.
APP = '#!/bin/sh\ngrep -n "bad" "$3" | sed "s|:.*|: it is bad|;s|^|$3:|" >&2\n! grep -q "bad" "$3" && [ -n "$KEY" ]\n'
PLANTED_TOML = [
    [("docs/toml.md", "listen", "bad", "docs/toml.md:4: it is bad")],
    [("docs/toml.md", "${KEY}", "${OTHER}", "docs/toml.md:4: ")],
]


def check(arguments, files):
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        app = root / "app.sh"
        app.write_text(APP, encoding="utf-8")
        app.chmod(app.stat().st_mode | stat.S_IXUSR)
        if arguments.app:
            arguments.app = app
        return examples.check(arguments, root)


def report(name, good, said):
    note("pass" if good else "fail", name)
    if not good:
        print(f"  {said}")
    return 0 if good else 1


def main():
    compiling = examples.parse(sys.argv[1:])
    configuring = examples.parse(["--app", "x", "--m3ctl", "x"])
    failed = 0
    for arguments, planted, places in ((compiling, PLANTED, 5), (configuring, PLANTED_TOML, 1)):
        clean = check(arguments, CLEAN)
        failed += report(f"examples: nothing in the clean tree, {places} files looked at",
                         len(clean) == places and not any(clean.values()), clean)
        for plants in planted:
            files = dict(CLEAN)
            for file, old, new, _ in plants:
                assert old in files[file], (file, old)
                files[file] = files[file].replace(old, new, 1)
            faults = [fault for place in check(arguments, files).values() for fault in place]
            for file, _, new, wanted in plants:
                failed += report(f"examples: {file} with {new!r}", any(wanted in fault for fault in faults),
                                 f"{wanted} is not in {faults}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
