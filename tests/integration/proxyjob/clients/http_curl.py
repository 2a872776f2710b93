"""The curl command, a process for each request; what is secret goes to it through a pipe."""

import os
import subprocess
import tempfile

import batch


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def send(method, url, headers, body):
    with tempfile.TemporaryDirectory() as folder:
        head, data, upload = (os.path.join(folder, name) for name in ("head", "data", "upload"))
        lines = [f"url = {quoted(url)}"] + [f"header = {quoted(f'{name}: {value}')}" for name, value in headers.items()]
        options = ["--silent", "--show-error", "--max-time", "20", "--request", method, "-K", "-", "-D", head, "-o", data]
        if body is not None:
            with open(upload, "wb") as file:
                file.write(body)
            options += ["--data-binary", "@" + upload]
        if method == "HEAD":
            options = [*options, "--head"]
        done = subprocess.run(["curl", *options], input="\n".join(lines), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        with open(head, encoding="latin-1") as file:
            fields = file.read().split("\n\n")[-2].split("\n")
        content = b""
        if os.path.exists(data) and method != "HEAD":
            with open(data, "rb") as file:
                content = file.read()
    pairs = [line.split(": ", 1) for line in fields[1:] if ": " in line]
    return batch.result(int(fields[0].split()[1]), pairs, content)


batch.run(send)
