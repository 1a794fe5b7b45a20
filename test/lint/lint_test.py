#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plants one violation at a time in a small clean tree; the lint must see each of them, and nothing in the clean tree."""
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lint  # noqa: E402
from cases import note  # noqa: E402

SPDX = "// " + lint.SPDX + "\n"
HEADER = SPDX + "#pragma once\n"

CLEAN = {
    "m3/base/README.md": "# base\n`status.h`\n",
    "m3/base/status.h": HEADER,
    "m3/async/README.md": "# async\n`task.h`, `asio.h`\n",
    "m3/async/task.h": HEADER + '#include "m3/base/status.h"\n',
    "m3/async/asio.h": HEADER + "#include <boost/asio.hpp>\n",
    "m3/net/README.md": "# net\n`tcp.h`\n",
    "m3/net/tcp.h": HEADER + '#include "m3/async/task.h"\n',
    "m3/net/tcp.cpp": SPDX + '#include "m3/net/tcp.h"\n\n#include "m3/async/asio.h"\n#include "m3/net/detail/socket.h"\n',
    "m3/net/detail/socket.h": HEADER + "#include <openssl/ssl.h>\n",
    "m3/actor/README.md": "# actor\n`host.h`\n",
    "m3/actor/host.h": HEADER,
    "m3/resource/README.md": "# resource\n`table.h`\n",
    "m3/resource/table.h": HEADER,
    "m3/testing/README.md": "# testing\n`cluster.h`\n",
    "m3/testing/cluster.h": HEADER,
    "plugins/client/redis/client.h": HEADER,
    "plugins/broker/redis/broker.cpp": SPDX + '#include "m3/net/tcp.h"\n#include "plugins/client/redis/client.h"\n',
    "plugins/broker/nats/broker.h": HEADER,
    "codegen/model.cpp": SPDX + '#include "m3/base/status.h"\n',
    "apps/hello/main.cpp": SPDX + '#include "m3/net/tcp.h"\n',
    "test/unit/net/tcp.cpp": SPDX + '#include "m3/net/detail/socket.h"\n#include "m3/testing/cluster.h"\n',
    "docs/hello.md": "Hello.\n",
}

# What to plant: (file, its text, a piece of the finding).
PLANTED = [
    ("m3/base/bad.h", HEADER + '#include "m3/async/task.h"\n', "must not include m3/async"),
    ("m3/async/bad.cpp", SPDX + '#include "m3/net/tcp.h"\n', "must not include m3/net"),
    ("m3/resource/bad.cpp", SPDX + '#include "m3/actor/host.h"\n', "must not include m3/actor"),
    ("m3/unknown/bad.cpp", SPDX + '#include "m3/base/status.h"\n', "must not include m3/base"),
    ("m3/net/bad.cpp", SPDX + '#include "plugins/broker/nats/broker.h"\n', "must not know plugins"),
    ("m3/net/bad.cpp", SPDX + '#include "m3/testing/cluster.h"\n', "for tests only"),
    ("apps/hello/bad.cpp", SPDX + '#include "m3/testing/cluster.h"\n', "for tests only"),
    ("apps/hello/bad.cpp", SPDX + '#include "m3/net/detail/socket.h"\n', "internal to m3/net"),
    ("m3/actor/bad.cpp", SPDX + '#include "m3/net/detail/socket.h"\n', "internal to m3/net"),
    ("plugins/broker/redis/bad.cpp", SPDX + '#include "plugins/broker/nats/broker.h"\n', "no other plugin"),
    ("codegen/bad.cpp", SPDX + '#include "m3/net/tcp.h"\n', "codegen may include m3/base only"),
    ("m3/base/bad.cpp", SPDX + "#include <google/protobuf/message.h>\n", "no protobuf library"),
    ("m3/base/bad.cpp", SPDX + '#include "m3/wire.pb.h"\n', "no protobuf library"),
    ("m3/net/bad.h", HEADER + "#include <boost/asio/ip/tcp.hpp>\n", "belongs into .cpp"),
    ("m3/net/bad.h", HEADER + "#include <boost/beast.hpp>\n", "belongs into .cpp"),
    ("m3/net/bad.h", HEADER + "#include <openssl/hmac.h>\n", "belongs into .cpp"),
    ("m3/net/bad.h", HEADER + "#include <toml++/toml.h>\n", "belongs into .cpp"),
    ("plugins/broker/redis/bad.h", HEADER + "#include <hiredis/hiredis.h>\n", "belongs into .cpp"),
    ("plugins/broker/redis/bad.h", HEADER + "#include <spdlog/spdlog.h>\n", "belongs into .cpp"),
    ("m3/net/bad.h", HEADER + '#include "m3/net/detail/socket.h"\n', "brings in"),
    ("m3/net/bad.h", HEADER + '#include "m3/async/asio.h"\n', "brings in"),
    ("m3/net/bad.cpp", "int x;\n", "the first line is not"),
    ("dev", "#!/bin/sh\necho\n", "the first line is not"),
    ("m3/net/bad.h", SPDX + "int x();\n", "without #pragma once"),
    ("m3/net/bad.cpp", SPDX + "// more\n" * 600, "more than 600"),
    ("m3/net/bad.cpp", SPDX + "// TO" + "DO later\n", "do it now"),
    ("docs/bad.md", "FIX" + "ME\n", "do it now"),
    ("docs/bad.md", "see /wo" + "rk/notes\n", "path of one machine"),
    ("m3/rpc/bad.cpp", SPDX + '#include "m3/http/server.h"\n', "must not include m3/http"),
    ("m3/wire/bad.cpp", SPDX + '#include "m3/obs/log.h"\n', "must not include m3/obs"),
    ("m3/mesh/mesh.h", HEADER, "without README.md"),
    ("m3/net/udp.h", HEADER, "does not name udp.h"),
    ("m3/net/README.md", "# net\n`tcp.h`, `udp.h`\n", "names udp.h, which is not there"),
    ("m3/net/bad.cpp", SPDX + "int    x ;\n", "not formatted"),
]


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def report(fate, name):
    note(fate, name)
    return fate == "fail"


def findings_with(files, with_format=False):
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder), {**CLEAN, **files})
        shutil.copy(pathlib.Path(__file__).parents[2] / ".clang-format", folder)
        return lint.lint(folder, with_format)


def main():
    failures = 0
    clean = findings_with({}, with_format=True)
    failures += report("fail" if clean else "pass", f"lint: a clean tree has no findings {clean or ''}")
    has_format = shutil.which("clang-format-19") is not None
    for subject, faults in (("net: take two addresses", 0), ("net: " + "x" * 68, 1), ("Take two", 1), ("net:", 1)):
        found = list(lint.subject_faults(subject))
        failures += report("pass" if len(found) == faults else "fail", f"lint: the subject '{subject[:20]}' {found}")
    for name, text, piece in PLANTED:
        case = f"lint: sees '{piece}' in {name} ({text.splitlines()[-1][:60]})"
        if piece == "not formatted" and not has_format:
            report("skip", case)
            continue
        found = findings_with({name: text}, with_format=piece == "not formatted")
        failures += report("pass" if any(piece in finding[2] for finding in found) else "fail", case)
    print(f"{len(PLANTED) + 1 - failures} of {len(PLANTED) + 1} as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
