# SPDX-License-Identifier: BSL-1.0
"""Cases that stand in one text file: what is written, and all that is said of it.

    == title of the case
    what the user wrote
    --
    what the program must say, to the last letter

What stands before the first title is for readers.
"""


def read_table(path):
    """The text before the first case, and [title, input, expected] of each."""
    head, cases, part = "", [], None
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("== "):
            cases.append([line[3:].strip(), "", ""])
            part = 1
        elif not cases:
            head += line
        elif line == "--\n" and part == 1:
            part = 2
        else:
            cases[-1][part] += line
    titles = [case[0] for case in cases]
    assert cases and len(set(titles)) == len(titles), f"{path}: no case, or two of one title"
    for case in cases:
        case[2] = case[2].rstrip("\n") + "\n"
        assert case[2].strip(), f"{path}: '{case[0]}' expects nothing"
    return head, cases


def write_table(path, head, cases):
    path.write_text(head + "\n".join(f"== {title}\n{text}--\n{said}" for title, text, said in cases), encoding="utf-8")


def difference(expected, said):
    """What to print when they differ; empty: they do not."""
    if expected == said:
        return ""
    return "  expected:\n" + "".join(f"    {line}\n" for line in expected.splitlines()) + \
           "  said:\n" + "".join(f"    {line}\n" for line in said.splitlines())
