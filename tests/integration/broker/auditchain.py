"""An independent reading of the audit log's chain, from broker/wire/audit_line.h alone."""

import hashlib
import json
import re

KEYS = (
    "sequence time request principal session profile secret lease operation verdict reason token"
    " detail prev hash"
).split()
TAIL = re.compile(rb',"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"}$')


class BadChain(Exception):
    pass


def read(path):
    """The lines as dictionaries, after every one was checked."""
    with open(path, "rb") as file:
        data = file.read()
    if data and not data.endswith(b"\n"):
        raise BadChain("the last line is cut")
    previous = b"0" * 64
    events = []
    for number, line in enumerate(data.splitlines(), 1):
        tail = TAIL.search(line)
        if not tail:
            raise BadChain(f"line {number} has no chain")
        if tail[1] != previous:
            raise BadChain(f"line {number} does not follow the one before")
        body = line[: tail.end(1)]
        expected = hashlib.sha256(bytes.fromhex(tail[1].decode()) + body + b'"}').hexdigest()
        if expected.encode() != tail[2]:
            raise BadChain(f"line {number} was edited")
        event = json.loads(line)
        if event["sequence"] != number:
            raise BadChain(f"line {number} has sequence {event['sequence']}")
        places = [KEYS.index(key) for key in event]
        if places != sorted(places):
            raise BadChain(f"line {number}: keys out of order")
        events.append(event)
        previous = tail[2]
    return events
