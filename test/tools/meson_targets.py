#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What ninja must build, one file a line.

meson_targets.py BUILD --suite NAME...   for the tests of these suites
meson_targets.py BUILD --test NAME...    for these tests
meson_targets.py BUILD --under FOLDER... for the executables defined under these folders
meson_targets.py BUILD --installed       for meson install
"""
import json
import os
import pathlib
import sys


def main(arguments):
    known = len(arguments) > 2 and arguments[1] in ("--suite", "--test", "--under")
    if not known and arguments[1:] != ["--installed"]:
        print(__doc__, file=sys.stderr)
        return 2
    build, names = pathlib.Path(arguments[0]).resolve(), arguments[2:]
    targets = json.loads((build / "meson-info/intro-targets.json").read_text())
    if arguments[1] == "--installed":
        chosen = [target for target in targets if target["installed"]]
    elif arguments[1] != "--under":
        wanted = set()
        for test in json.loads((build / "meson-info/intro-tests.json").read_text()):
            suites = [suite.split(":")[-1] for suite in test["suite"]]
            if set(names) & set(suites if arguments[1] == "--suite" else [test["name"]]):
                wanted.update(test["depends"])
        chosen = [target for target in targets if target["id"] in wanted]
    else:
        source = pathlib.Path(__file__).resolve().parents[2]
        folders = tuple(f"{source}/{name}/" for name in names)
        chosen = [t for t in targets if t["type"] == "executable" and t["defined_in"].startswith(folders)]
    files = {os.path.relpath(file, build) for target in chosen for file in target["filename"]}
    print("\n".join(sorted(files)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
