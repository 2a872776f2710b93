#!/usr/bin/python3
"""One call from a process of its own: peer.py PATH|fd:N METHOD [PARAMETERS]. Prints the answer."""

import json
import sys

from varlink import CallError, Client, Closed


def main():
    where, method = sys.argv[1:3]
    parameters = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    try:
        if where.startswith("fd:"):
            client = Client(fd=int(where[3:]))
        else:
            client = Client(where)
        answer = {"reply": client.call(method, parameters)}
    except CallError as error:
        answer = {"error": error.name, "message": error.message}
    except Closed:
        answer = {"closed": True}
    except OSError as error:
        answer = {"errno": error.errno}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
