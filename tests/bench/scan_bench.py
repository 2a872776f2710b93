#!/usr/bin/python3
"""`mcpcred scan` beside `rg -F` with the same patterns: ratios within one run, runs interleaved, the cache warm.

    tests/bench/run.sh scan [PAIRS] [TREE...]

The patterns are eight stored keys and all prefixes of what is issued. rg counts, which spares it the printing. Ours includes
asking the broker. Nothing is asserted, since machines are shared.
"""
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration" / "broker"), str(HERE.parent / "support")]

from harness import BUILD, Broker  # noqa: E402

COMMAND = f"{BUILD}/client-lib/cli/mcpcred"
RIPGREP = ["rg", "-F", "-c", "--no-ignore", "--hidden", "-a", "-uuu", "--no-config", "--no-messages", "-f"]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LARGE = 1 << 30


def near_misses(path, keys, dice):
    """Lines as in a log, one in four with a key of which one letter is another, or a prefix without a token."""
    lines = []
    for i in range(20000):
        key = dice.choice(keys)
        at = dice.randrange(len(key))
        lines.append(dice.choice([
            f"{i} request {dice.random()} of client {dice.random()} took {dice.random()} ms, status 200, cached no",
            f"{i} the quick brown fox {dice.random()} jumps over the lazy dog {dice.random()}; " + "lorem ipsum " * 4,
            f"{i} " + "".join(dice.choice(LETTERS) for _ in range(90)),
            f"{i} key={key[:at]}~{key[at + 1:]} ghs_{i} mcpch_" + "x" * 38,
        ]))
    block = ("\n".join(lines) + "\n").encode()
    with open(path, "wb") as file:
        while file.tell() < LARGE:
            file.write(block)


def timed(command, log):
    with open(log, "wb") as out:
        before = os.times()
        start = time.perf_counter()
        status = subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, shell=isinstance(command, str),
                                check=False).returncode
        wall = time.perf_counter() - start
        after = os.times()
    if status not in (0, 1, 3):
        raise SystemExit(f"{command} ended with {status}")
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def compare(name, ours, theirs, pairs, log, amount):
    walls, cpus = ([], []), ([], [])
    for command in ours, theirs:  # the cache
        timed(command, log)
    for _ in range(pairs):
        for i, command in enumerate((ours, theirs)):
            wall, cpu = timed(command, log)
            walls[i].append(wall)
            cpus[i].append(cpu)
    a, b = (statistics.median(each) for each in walls)
    ratios = sorted(x / y for x, y in zip(*walls))
    print(f"  {name:26}{1000 * a:9.1f} ms  {amount / a / 1e9:6.2f} GB/s   rg {1000 * b:9.1f} ms   ratio "
          f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})   cpu {statistics.median(cpus[0]):.2f} s "
          f"to {statistics.median(cpus[1]):.2f} s", flush=True)


def size_of(paths):
    return sum(os.lstat(os.path.join(root, name)).st_size for path in paths for root, _, names in os.walk(path)
               for name in names if not os.path.islink(os.path.join(root, name)))


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    trees = sys.argv[2:] or [path for path in ("/usr/include", "/usr/share") if os.path.isdir(path)]
    dice = random.Random(1)
    keys = ["".join(dice.choice(LETTERS) for _ in range(40)) for _ in range(8)]
    broker = Broker("").start()
    try:
        for i, key in enumerate(keys):
            broker.add(f"key-{i}", "static", key.encode(), hosts=["api.example.com"])
        with broker.client() as client:
            prefixes = client.stream("ScanPatterns")[-1]["prefixes"]
        patterns, log, large = broker.path("patterns"), broker.path("log"), broker.path("large")
        with open(patterns, "w", encoding="utf-8") as file:
            file.write("\n".join(keys + prefixes) + "\n")
        ours = [COMMAND, "--runtime", broker.path("runtime"), "--json", "scan"]
        theirs = [*RIPGREP, patterns]
        for tree in trees:
            compare(tree, [*ours, tree], [*theirs, "--", tree], pairs, log, size_of([tree]))
        near_misses(large, keys, dice)
        compare("1 GiB of near-misses", [*ours, large], [*theirs, "--", large], pairs, log, LARGE)
        compare("the same, one thread", [*ours, "--threads", "1", large], [*theirs, "-j1", "--", large], pairs, log, LARGE)
        os.unlink(large)
        top = str(HERE.parents[1])
        cat = f"git -C {top} cat-file --batch --batch-all-objects --unordered --buffer | " + " ".join([*theirs, "--", "-"])
        printed = subprocess.run(cat.split("|", maxsplit=1)[0], shell=True, capture_output=True, check=True).stdout
        compare("a history", [*ours, "--git", top], cat, pairs, log, len(printed))
        compare("stdin, 1 GB of it", f"head -c 1000000000 /dev/zero | {' '.join([*ours, '-'])}",
                f"head -c 1000000000 /dev/zero | {' '.join([*theirs, '--', '-'])}", pairs, log, 1e9)
    finally:
        broker.close()


if __name__ == "__main__":
    main()
