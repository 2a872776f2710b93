#!/usr/bin/python3
"""The smallest MCP server, for what a real one does not do on demand.

Tools: `fail` answers isError, `refuse` answers a JSON-RPC error, `die` ends the
server without an answer, `env` tells the names of its environment.
"""

import json
import os
import sys

TOOLS = ("die", "env", "fail", "refuse")


def text(value, is_error=False):
    return {"result": {"content": [{"type": "text", "text": value}], "isError": is_error}}


def call(name):
    if name == "die":
        sys.exit(0)
    if name == "refuse":
        return {"error": {"code": -32000, "message": "refused"}}
    return text(json.dumps(sorted(os.environ)), is_error=name == "fail")


def answer(request):
    parameters = request.get("params", {})
    if request["method"] == "initialize":
        return {
            "result": {
                "protocolVersion": parameters["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            }
        }
    if request["method"] == "tools/list":
        schema = {"type": "object"}
        return {"result": {"tools": [{"name": name, "inputSchema": schema} for name in TOOLS]}}
    return call(parameters["name"])


def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            reply = {"jsonrpc": "2.0", "id": request["id"], **answer(request)}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
