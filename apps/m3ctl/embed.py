#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""embed.py OUT.cpp GLUE FILE.in...: writes the files of a new app as text into a table of C++, for m3ctl new.

name.proto.in becomes the new app's @name@.proto; GLUE becomes its m3/meson.build.
"""
import pathlib
import re
import sys

PIECE = 4000  # compilers limit the length of one literal


def literal(text):
    return "\n".join(f'R"~m3~({text[i:i + PIECE]})~m3~"' for i in range(0, len(text), PIECE))


def main():
    out, glue, *files = sys.argv[1:]
    named = [("m3/meson.build", glue)]
    named += [(re.sub(r"^name\b", "@name@", pathlib.Path(file).name.removesuffix(".in")), file) for file in sorted(files)]
    rows = [f'    {{"{name}", {literal(pathlib.Path(file).read_text(encoding="utf-8"))}}},\n' for name, file in named]
    pathlib.Path(out).write_text(
        '#include "apps/m3ctl/new_app_files.h"\n\nnamespace m3ctl {\n\nconst std::vector<AppFile>& new_app_files() {\n'
        '  static const std::vector<AppFile> files{\n' + "".join(rows) + "  };\n  return files;\n}\n\n}  // namespace m3ctl\n",
        encoding="utf-8")


main()
