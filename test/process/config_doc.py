#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""docs/reference/config.md says what the code declares.  config_doc.py APP DOC  (--update rewrites the page)"""
import subprocess
import sys


def main():
    update = "--update" in sys.argv
    app, page = [a for a in sys.argv[1:] if a != "--update"]
    declared = subprocess.run([app, "--config-reference"], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    with open(page, encoding="utf-8") as file:
        head, mark, told = file.read().partition("## Top of the file")
    if update:
        with open(page, "w", encoding="utf-8") as file:
            file.write(head + declared)
        return 0
    if mark + told == declared:
        print("ok config: the reference page says what the code declares")
        return 0
    print("FAIL config: the reference page says what the code declares")
    print(f"make it again: python3 {sys.argv[0]} --update {app} {page}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
