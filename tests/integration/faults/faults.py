#!/usr/bin/python3
"""Fault injection: every step of mint, revoke and rotate, cut off in every way, and what must hold behind it.

    faults.py                                    what every run of the tests does
    faults.py --operations mint,rotate-guided    some of that
    faults.py --brief                            of that the deaths at each step, and the upstream's failures
    faults.py --every --operations replace       each of its steps in each way
    faults.py --long                             that of all operations, and more ways
    faults.py --only rotate-guided/vault/sync/7/EIO   one point, and what was seen

As root, since the roles let nobody else look into them; without, what needs no tracing is done. The build is $MCPCRED_BUILD,
or the build folder beside the sources.
"""

import argparse
import collections
import ctypes
import multiprocessing
import os
import queue
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

from kinds import SLOW_KINDS, UPSTREAM_KINDS, parse
from operations import FULL, LONG, OPERATIONS, SANDBOX
from rig import FaultBroker, Wrong
from run import Drain, Run
from upstream import Upstream

CLONE_NEWNS = 0x20000
STORING = ("vault", "keyring", "supervisor")
# A series that does not end is a mistake of the suite's.
NUMBER_MAX = 400
ROOM_STEP = 4  # pages, between two points with a full disk
ROOM_MAX = 200
PORTION = 20  # points, that one worker does in a row


class Worker:
    """One upstream, and one broker an operation, that are put back for each point."""

    def __init__(self):
        self.upstream = Upstream()
        self._brokers = {}
        self._drains = collections.defaultdict(list)
        self._directory = tempfile.mkdtemp(prefix="mcpcred-faults-")

    def close(self):
        for broker, _ in self._brokers.values():
            broker.close()
        self.upstream.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _prepared(self, operation):
        """The broker, and the state that it is put back to."""
        if operation.name not in self._brokers:
            github = self.upstream.github
            broker = FaultBroker(operation.profiles.format(port=github.port), github.ca)
            place = os.path.join(self._directory, operation.name)
            broker.up()
            operation.secrets(broker, self.upstream)
            broker.stop()
            broker.save(place)
            self._brokers[operation.name] = broker, place
        return self._brokers[operation.name]

    def point(self, name, text, verbose=False):
        """(struck, what is wrong or None, the run)"""
        operation = OPERATIONS[name]()
        broker, template = self._prepared(operation)
        run = Run(broker, self.upstream, template, operation, parse(text))
        wrong = None
        try:
            run.execute()
        except Wrong as error:
            wrong = str(error)
        except Exception:  # an error of the suite is a failed point as well
            wrong = traceback.format_exc()
        if wrong and broker.log:
            wrong += "\n" + "\n".join(broker.log.lines[-40:])
        try:
            run.clean_up()
            if not wrong and run.pending:
                place = os.path.join(self._directory, f"drain-{time.monotonic_ns()}")
                self._drains[name].append(Drain(run, place))
        except Exception:
            wrong = wrong or traceback.format_exc()
        finally:
            run.fault.after(run)
        if verbose:
            print(f"answer: {run.answer if run.succeeded else (run.error, run.message)}; at: {run.detail}; counts: {run.counts}")
            print("\n".join(broker.log.lines))
        return run.struck, wrong, run

    def drain(self):
        """[(operation, fault, what is wrong)] of what was left pending, now that its time has come."""
        found = []
        for name, drains in self._drains.items():
            broker, _ = self._brokers[name]
            for drain in drains:
                try:
                    drain.finish(broker, self.upstream)
                except Exception as error:
                    found.append((name, drain.name, f"a start later: {error}"))
                finally:
                    shutil.rmtree(drain.place, ignore_errors=True)
        self._drains.clear()
        return found


# -- the series


def call_series(operation, counts, level, options):
    """[(role, class, action)]"""
    found, long = [], options.long
    for role in operation.roles if level != SANDBOX else ("session", "egress"):
        made = counts.get(role, {})
        # Whether a provider's process has anything to do before the answer, or behind it, is not the same each time.
        found.append((role, "step" if options.brief else "act", "KILL"))
        if made.get("connect") and role in ("provider", "egress"):
            found += [(role, "connect", "ECONNREFUSED")] + [(role, "connect", "ENETUNREACH")] * long
        if role not in STORING:
            continue
        for kind in ("write", "sync", "rename", "truncate", "create", "unlink"):
            if made.get(kind) and (level == FULL or kind != "write" or role != "vault"):
                found.append((role, kind, "EIO"))
        for kind in ("write", "create"):
            if made.get(kind) and (level == FULL or role != "vault"):
                found.append((role, kind, "FULL"))
        if long:
            found += [(role, "write", action) for action in ("TORN", "SHORT", "EDQUOT") if made.get("write")]
            found += [(role, "read", "EIO")] * bool(made.get("read"))
    others = [role for role in operation.roles if role != "vault"] if level == FULL else []
    found += [("vault", "act" if long else "sync", f"KILL={role}") for role in others if counts.get("vault", {}).get("sync")]
    return found


def plan(name, clean, options, root):
    """The series of an operation, from a run in which nothing went wrong: a pattern with a place for the number, its
    last number in that run, and whether it is slow."""
    operation, found = OPERATIONS[name], []
    long = options.long
    level = FULL if long or options.every else operation.level
    if root:
        for role, kind, action in call_series(operation, clean["counts"], level, options):
            last = clean["counts"]["vault" if action.startswith("KILL=") else role].get(kind, 0)
            found.append((f"{role}/{kind}/{{}}/{action}", last, 1, False))
        if level == FULL:
            found.append(("room/{}", 0, 1 if long else ROOM_STEP, False))
    if operation.survives_start or level == SANDBOX:
        return found
    for kind in UPSTREAM_KINDS if clean["requests"] else ():
        found.append((f"upstream/{{}}/{kind}", clean["requests"], 1, kind in SLOW_KINDS))
    for role in operation.roles if clean["requests"] else ():
        for when in ("before", "after"):
            found.append((f"held/{{}}/{when}/{role}", clean["requests"], 1, False))
    return found


def is_brief(name, series):
    """What needs no waiting, and finds most."""
    pattern, _, _, slow = series
    deaths = "/step/" in pattern and pattern.endswith("/KILL")
    upstream = pattern.startswith("upstream/") or "/connect/" in pattern
    return OPERATIONS[name].level == FULL and not slow and (deaths or upstream)


def class_of(text):
    """The row of the table."""
    parts = text.split("/")
    if parts[0] == "room":
        return "disk full (a small file system)"
    if parts[0] == "upstream":
        return f"upstream: {parts[2]}"
    if parts[0] == "held":
        return f"upstream holds: kill {parts[3]}"
    if parts[3].startswith("KILL="):
        return f"kill {parts[3][5:]} at the vault's"
    names = {"KILL": f"kill {parts[0]}", "FULL": f"{parts[0]}: disk full"}
    return names.get(parts[3], f"{parts[0]}: {parts[1]} {parts[3]}")


def portions(name, series):
    """A series in parts, for several workers: the last one of them goes on for as long as a number is reached."""
    _, last, step, _ = series
    starts = list(range(step, max(last, step) + 1, step * PORTION))
    return [("series", name, series, start, end) for start, end in zip(starts, [*starts[1:], None])]


def run_series(worker, name, series, first, end, report):
    pattern, last, step, _ = series
    most = ROOM_MAX if pattern.startswith("room") else NUMBER_MAX
    for number in range(first, min(end or most + 1, most + 1), step):
        text = pattern.format(number)
        struck, wrong, run = worker.point(name, text)
        if struck or wrong:
            report(("point", name, text, wrong, run.detail))
        if not struck and number >= last:
            return
    if not end:
        report(("point", name, text, "the series does not end", ""))


def work(tasks, results):
    worker = Worker()
    try:
        while True:
            try:
                task = tasks.get_nowait()
            except queue.Empty:
                break
            begin = time.monotonic()
            if task[0] == "clean":
                before = worker.upstream.requests()
                _, wrong, run = worker.point(task[1], "clean")
                requests = getattr(run, "requests_made", worker.upstream.requests() - before)
                results.put(("clean", task[1], wrong, {"counts": run.counts, "requests": requests}))
            else:
                run_series(worker, *task[1:], results.put)
                results.put(("time", task[1], task[2][0], time.monotonic() - begin))
        for name, text, wrong in worker.drain():
            results.put(("point", name, text, wrong, ""))
    except BaseException:
        results.put(("broken", traceback.format_exc()))
    finally:
        worker.close()
        results.put(("end",))


def spread(tasks, jobs):
    """Runs the tasks on so many workers; what they report, as it comes."""
    waiting, results = multiprocessing.Queue(), multiprocessing.Queue()
    for task in tasks:
        waiting.put(task)
    time.sleep(0.1)  # until the queue's own thread has written the first
    workers = [multiprocessing.Process(target=work, args=(waiting, results)) for _ in range(min(jobs, len(tasks)))]
    for worker in workers:
        worker.start()
    left = len(workers)
    while left:
        result = results.get()
        if result[0] == "end":
            left -= 1
        else:
            yield result
    for worker in workers:
        worker.join()


# -- the machine


def few_authorities():
    """Each provider's process reads the machine's hundred and forty authorities, which was a third of all time, and no step
    of anything. So the suite and what it starts see a machine that has one. Mounts of theirs end with them, too."""
    bundle = ssl.get_default_verify_paths().openssl_cafile
    place = next((path for path in ("/etc/ssl/certs/ca-certificates.crt", bundle) if os.path.isfile(path)), None)
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) < 0:
        return
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if not place:
        return
    with open(place, encoding="ascii", errors="replace") as file:
        first = file.read().partition("-----END CERTIFICATE-----")
    with tempfile.NamedTemporaryFile("w", encoding="ascii", errors="replace") as file:
        file.write("".join(first[:2]) + "\n")
        file.flush()
        os.chmod(file.name, 0o644)
        subprocess.run(["mount", "--bind", file.name, place], check=True)


# -- the report


class Table:
    def __init__(self):
        self.points = collections.defaultdict(lambda: [0, 0])
        self.failures = []

    def add(self, name, text, wrong, detail):
        cell = self.points[name, class_of(text)]
        cell[0] += 1
        if wrong:
            cell[1] += 1
            self.failures.append((name, text, wrong, detail))
            print(f"FAILED {name}/{text} ({detail}): {wrong}", flush=True)

    def show(self, file):
        print(f"{'operation':18} {'fault':38} {'points':>6} {'pass':>6}", file=file)
        for (name, row), (points, failed) in sorted(self.points.items()):
            print(f"{name:18} {row:38} {points:6} {points - failed:6}{'   <--' if failed else ''}", file=file)
        total = sum(points for points, _ in self.points.values())
        print(f"{'all':18} {'':38} {total:6} {total - len(self.failures):6}", file=file)
        for name, text, wrong, _ in self.failures:
            print(f"again: tests/integration/faults/faults.py --only {name}/{text}    # {wrong.splitlines()[0]}", file=file)


def one(where):
    name, _, text = where.partition("/")
    worker = Worker()
    try:
        struck, wrong, run = worker.point(name, text, verbose=True)
        wrong = wrong or "\n".join(found[2] for found in worker.drain())
    finally:
        worker.close()
    print(f"{'struck' if struck else 'not reached'}; {'FAILED: ' + wrong if wrong else 'passed'}")
    return 1 if wrong else 0


def suite(options):
    root, table, clean = os.geteuid() == 0, Table(), {}
    broken = []
    for result in spread([("clean", name) for name in options.operations], options.jobs):
        if result[0] == "clean":
            _, name, wrong, clean[name] = result
            table.add(name, "clean/0/0/0", wrong, "")
        elif result[0] == "broken":
            broken.append(result[1])
    everything = [(name, series) for name in clean for series in plan(name, clean[name], options, root)]
    if options.brief:
        everything = [(name, series) for name, series in everything if is_brief(name, series)]
    everything = [(name, series) for name, series in everything if options.match in f"{name}/{series[0]}"]
    everything.sort(key=lambda item: -item[1][1])
    fast = [task for item in everything if not item[1][3] for task in portions(*item)]
    slow = [task for item in everything if item[1][3] for task in portions(*item)]
    times = collections.Counter()
    for result in side_by_side(fast, options.jobs, slow, options.waiting):
        if result[0] == "point":
            table.add(*result[1:])
        elif result[0] == "time":
            times[f"{result[1]} {result[2]}"] += result[3]
        elif result[0] == "broken":
            broken.append(result[1])
    table.show(sys.stdout)
    if options.times:
        for what, seconds in times.most_common():
            print(f"{seconds:7.1f} s  {what}")
    if options.table:
        with open(options.table, "w", encoding="utf-8") as file:
            table.show(file)
    for text in broken:
        print(text, file=sys.stderr)
    return 1 if table.failures or broken or not clean else 0


def side_by_side(fast, jobs, slow, waiting):
    """Those that only wait for a deadline do so beside the others."""
    results = multiprocessing.Queue()

    def forward(tasks, number):
        for result in spread(tasks, number):
            results.put(result)
        results.put(None)

    import threading

    threads = [threading.Thread(target=forward, args=item) for item in ((fast, jobs), (slow, waiting)) if item[0]]
    for thread in threads:
        thread.start()
    left = len(threads)
    while left:
        result = results.get()
        if result is None:
            left -= 1
        else:
            yield result
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(description="Fault injection into the broker")
    parser.add_argument("--operations", help="names, or what they begin with, with commas")
    parser.add_argument("--every", action="store_true", help="each step in each way, of those that are named")
    parser.add_argument("--match", default="", help="only series whose name contains this")
    parser.add_argument("--only", help="one point, OPERATION/FAULT")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--waiting", type=int, default=4, help="workers for points that wait for a deadline")
    parser.add_argument("--table", help="a file for the table")
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    if os.geteuid() == 0:
        few_authorities()
    if options.only:
        return one(options.only)
    names = options.operations.split(",") if options.operations else list(OPERATIONS)
    # A part of a name stands for all that begin with it.
    options.operations = [name for name in OPERATIONS if any(name.startswith(part) for part in names)]
    if not options.long and not options.every:
        options.operations = [name for name in options.operations if OPERATIONS[name].level != LONG]
    if not options.operations:
        parser.error("no such operation")
    return suite(options)


if __name__ == "__main__":
    sys.exit(main())
