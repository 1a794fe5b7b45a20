#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What an app says of the mistakes in config_mistakes.txt: config_mistakes_test.py APP [--update]

With --update, what is said now becomes what is expected: look at the diff before you commit it.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from case_table import difference, read_table, write_table  # noqa: E402
from cases import new_folder, note  # noqa: E402

TABLE = pathlib.Path(__file__).with_suffix("").with_name("config_mistakes.txt")


def check(app, text):
    """All that --check-config says of the file, and how it ended."""
    with new_folder() as folder:
        file = folder / "app.toml"
        file.write_text(text, encoding="utf-8")
        done = subprocess.run([app, "--check-config", "--config", file], capture_output=True, text=True, timeout=60,
                              check=False, env={"PATH": "/usr/bin:/bin"})
        return done.returncode, done.stdout, done.stderr.replace(str(file), "FILE")


def main():
    app = sys.argv[1]
    head, cases = read_table(TABLE)
    failed = 0
    for case in cases:
        title, text, expected = case
        code, out, said = check(app, text)
        problem = difference(expected, said)
        if (code, out) != (2, ""):
            problem += f"  exit code {code} and {out!r} on stdout, not 2 and nothing\n"
        if "--update" in sys.argv:
            case[2] = said
        note("fail" if problem else "pass", f"config mistakes: {title}")
        print(problem, end="")
        failed += bool(problem)
    if "--update" in sys.argv:
        write_table(TABLE, head, cases)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
