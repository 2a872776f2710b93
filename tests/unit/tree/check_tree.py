#!/usr/bin/env python3
"""The shape of the tree: who includes whom, where state may be, how long a function gets, and that
the protocol has each refusal.

    check_tree.py SOURCE [BUILD]

With BUILD, the objects there are searched for mutable state outside main.c. Prints TAP.
"""
import os
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 100

TOP = {
    ".ci", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", "LICENSE", "README.md", "broker",
    "client-lib", "docs", "examples", "meson.build", "meson_options.txt", "providers", "tests",
}

# Layers point down only; those in one group may use each other.
LAYERS = [{"base"}, {"wire", "http"}, {"loop", "ipc", "harden"}]
LOWER = set().union(*LAYERS)
# For compilers of others: guarded in the portable way.
PUBLIC_HEADERS = {"client-lib/mcpcred.h": "#ifndef MCPCRED_H\n#define MCPCRED_H\n"}
CODE = ("broker", "providers", "client-lib")


def listed(source):
    """Files that are tracked, or all but builds where there is no repository."""
    try:
        out = subprocess.run(["git", "-C", source, "ls-files", "-z"], capture_output=True, check=True).stdout
        names = [name for name in out.decode().split("\0") if name]
        if names:
            return [name for name in names if os.path.exists(os.path.join(source, name))]
    except (OSError, subprocess.CalledProcessError):
        pass
    names = []
    for root, folders, files in os.walk(source):
        relative = os.path.relpath(root, source)
        folders[:] = [f for f in folders if not (relative == "." and (f.startswith("build") or f == ".git"))
                      and f not in ("__pycache__", "node_modules", ".cache")]
        names += [os.path.normpath(os.path.join(relative, name)) for name in files]
    return names


def part_of(name):
    """The layer, role or part that a file belongs to."""
    folders = name.split("/")[:-1]
    if folders[0] == "broker":
        return folders[1]
    if folders[:2] in (["client-lib", "cli"], ["client-lib", "scan"]):
        return folders[1]
    return folders[0]


def allowed_parts(part):
    if part in LOWER:
        allowed = set()
        for group in LAYERS:
            allowed |= group
            if part in group:
                break
        if part in ("base", "wire", "http"):  # neighbours do not know each other
            allowed -= {"wire", "http"} - {part}
        return allowed
    if part == "client-lib":
        return {"base", "wire", "client-lib"}
    if part == "scan":  # knows no broker
        return {"base", "scan"}
    if part == "cli":
        return {"cli", "scan"}
    return LOWER | {part}


def resolve(name, included, files):
    for folder in ("broker", ".", os.path.dirname(name), "client-lib"):
        path = os.path.normpath(os.path.join(folder, included))
        if path in files:
            return path
    return None


def check_includes(read, files):
    for name in sorted(files):
        if not name.startswith(tuple(c + "/" for c in CODE)) or not name.endswith((".c", ".h", ".in")):
            continue
        part = part_of(name)
        for number, line in enumerate(read(name).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            path = resolve(name, match.group(1), files)
            if path is None:
                yield f"{name}:{number}: includes {match.group(1)}, which is not in the tree"
            elif part_of(path) not in allowed_parts(part) and not (part == "cli" and path == "client-lib/mcpcred.h"):
                yield f"{name}:{number}: {part} may not include {path}"


def check_top(_read, files):
    for entry in sorted({name.split("/")[0] for name in files} - TOP):
        yield f"{entry}: not an entry of the top folder"


def check_guards(read, files):
    for name in sorted(files):
        if name.endswith(".h") and PUBLIC_HEADERS.get(name, "#pragma once\n") not in read(name):
            yield f"{name}: no #pragma once"


def functions(text):
    """(line, name, length) of each: its body is between a "{" and a "}" alone in the first column."""
    lines = text.splitlines()
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            while start > 0 and lines[start - 1].strip() and not lines[start - 1].endswith(("}", ";", "*/")):
                start -= 1
        elif line == "}" and start is not None:
            match = re.search(r"(\w+)\(", " ".join(lines[start:start + 4]))
            yield start + 1, match.group(1) if match else "?", i - start + 1
            start = None


def check_lengths(read, files):
    for name in sorted(files):
        if name.endswith(".c"):
            for line, function, length in functions(read(name)):
                if length > FUNCTION_LINES_MAX:
                    yield f"{name}:{line}: {function}() has {length} lines, more than {FUNCTION_LINES_MAX}"


def writable_symbols(path):
    """Names of objects in sections that stay writable once the process runs."""
    out = subprocess.run(["objdump", "-t", path], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        match = re.match(r"[0-9a-f]{8,} (.{7}) (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
        if not match:
            continue
        flags, section, size, symbol = match.groups()
        is_object = "O" in flags or section == "*COM*"
        if is_object and int(size, 16) > 0 and not section.startswith(".data.rel.ro") and \
                (section.startswith((".data", ".bss", ".tdata", ".tbss")) or section == "*COM*"):
            yield symbol, section


def check_state(build):
    seen = 0
    for code in CODE:
        for root, _folders, names in os.walk(os.path.join(build, code)):
            for name in sorted(names):
                if not name.endswith(".o") or name.endswith(("main.c.o", "main.o")):
                    continue
                seen += 1
                for symbol, section in writable_symbols(os.path.join(root, name)):
                    yield f"{code}: {name}: {symbol} in {section} is mutable state outside main.c"
    if not seen:
        yield f"{build}: no objects to look at"


# { 403, "rule", ... in a table of what a sandbox is told; and a line of the protocol's table of them.
REFUSAL = re.compile(r'\{ (\d{3}), "([a-z-]+)",')
REFUSALS_IN = ("broker/session/", "broker/egress/", "broker/http/head.c")
PROTOCOL = "docs/protocol.md"
UNTOLD = {"internal", "sni"}  # a defect of ours; what a TLS alert says


def check_refusals(read, files):
    lines = [line.split("|") for line in read(PROTOCOL).splitlines() if line.count("|") == 4]
    told = {(line[1].strip(), word) for line in lines for word in re.findall("`([a-z-]+)`", line[2])}
    for name in sorted(files):
        if not name.startswith(REFUSALS_IN) or not name.endswith(".c"):
            continue
        for status, word in REFUSAL.findall(read(name)):
            if word not in UNTOLD and (status, word) not in told:
                yield f"{name}: {PROTOCOL} has no {status} `{word}`"


def self_test():
    """A checker that finds nothing must be able to find something."""
    long = "int f(void)\n{\n" + "        g();\n" * 200 + "}\n"
    files = {"broker/base/a.h": "", "broker/gate/g.h": "", "broker/vault/v.c": '#include "gate/g.h"\n' + long,
             "broker/base/b.c": '#include "loop/l.h"\n', "broker/loop/l.h": "#pragma once\n",
             "client-lib/cli/c.c": '#include "base/a.h"\n#include "mcpcred.h"\n', "client-lib/mcpcred.h": "",
             "broker/http/h.c": '#include "wire/w.h"\n', "broker/wire/w.h": "", "odd": ""}
    found = list(check_includes(files.__getitem__, set(files)))
    if len(found) != 4:
        yield f"self-test: {found}"
    if len(list(check_lengths(files.__getitem__, set(files)))) != 1:
        yield "self-test: a long function was not seen"
    if len(list(check_top(files.__getitem__, set(files)))) != 1:
        yield "self-test: an odd entry was not seen"
    tables = {PROTOCOL: "| 403 | `rule`, `host` | x |\n", "broker/egress/x.c": '{ 403, "rule", "x" } { 502, "host", "x" }'}
    if len(list(check_refusals(tables.__getitem__, set(tables)))) != 1:
        yield "self-test: a refusal that is not in the protocol was not seen"
    if len(list(check_guards(files.__getitem__, set(files)))) != 4:  # the public one among them
        yield "self-test: a header without a guard was not seen"


def main():
    source, build = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    files = set(listed(source))

    def read(name):
        with open(os.path.join(source, name), encoding="utf-8") as file:
            return file.read()

    checks = [
        ("the checker sees what it should", self_test()),
        ("dependencies point down", check_includes(read, files)),
        ("entries of the top folder", check_top(read, files)),
        ("headers are guarded", check_guards(read, files)),
        ("functions are short", check_lengths(read, files)),
        ("refusals are in the protocol", check_refusals(read, files)),
    ]
    if build:
        checks.append(("no mutable state outside main.c", check_state(build)))
    print(f"1..{len(checks)}")
    failed = 0
    for number, (label, problems) in enumerate(checks, 1):
        problems = list(problems)
        failed |= bool(problems)
        print(f"{'not ' if problems else ''}ok {number} - {label}")
        for problem in problems:
            print(f"# {problem}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
