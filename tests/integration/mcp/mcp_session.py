"""Drives call-tool.mjs from Python: one MCP session held open between calls.

    with McpSession(modules, ["mcpcred", "exec", "github", "--", ...]) as session:
        session.call("get_file_contents", owner="octo", repo="hello", path="README.md")
"""

import json
import os
import subprocess

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "call-tool.mjs")


class SessionEnded(Exception):
    """The script ended instead of answering; `status` says why."""

    def __init__(self, status):
        super().__init__(f"the session ended with status {status}")
        self.status = status


class McpSession:
    """`env` is what the MCP client's configuration would set for the server."""

    def __init__(self, modules, command, env=None, cwd=None, node="node"):
        options = ["--modules", modules, "--lines"]
        if cwd is not None:
            options += ["--cwd", cwd]
        # Names only: values, tokens among them, have no place in an argv.
        for name in env or {}:
            options += ["--env", name]
        self._process = subprocess.Popen(
            [node, SCRIPT, *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            text=True,
        )
        try:
            ready = self._read()
        except SessionEnded:
            self._close_pipes()
            raise
        self.server = ready["server"]
        self.tools = ready["tools"]

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise SessionEnded(self._process.wait())
        return json.loads(line)

    def call(self, tool, **arguments):
        """{"result": ...} or {"error": ...}, as the script prints it."""
        line = json.dumps({"tool": tool, "arguments": arguments}) + "\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SessionEnded(self._process.wait()) from None
        return self._read()

    def _close_pipes(self):
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def close(self):
        """Ends the session as a client does, by closing the server's input."""
        self._close_pipes()
        return self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()
