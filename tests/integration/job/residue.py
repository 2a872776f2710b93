"""Looks for secrets where none may be: memory of processes, files, arguments, environments, text.

A secret is found by any 40 bytes of it in a row, in each form in which it could have been written down: as it is,
in base64 at each alignment and alphabet, in hex; a key also as its DER, and as the little-endian numbers of that.
"""

import base64
import binascii
import glob
import hashlib
import os
import re
import stat

# What is looked through is cut into blocks, and 40 bytes in a row hold a whole one, wherever they begin. Each block is
# looked up among all that can be cut out of the secrets, so the time does not depend on how many forms there are.
BLOCK = 20


def _windows(data):
    return {data[at : at + BLOCK] for at in range(len(data) - BLOCK + 1)}


def _base64_forms(data):
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data)
        # The characters at the ends depend on what is beside the data.
        inner = encoded[(4 if shift else 0) : len(encoded) // 4 * 4 - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _hex_forms(data):
    yield binascii.hexlify(data)
    yield binascii.hexlify(data).upper()


class Needles:
    """What to look for, by the name that a finding has."""

    def __init__(self):
        self.windows = {}

    def _add(self, name, form, data):
        for window in _windows(data):
            # A run of one byte is in every process.
            if len(set(window)) > 4:
                self.windows.setdefault(window, f"{name} ({form})")

    def add(self, name, secret):
        if isinstance(secret, str):
            secret = secret.encode()
        self._add(name, "as it is", secret)
        for form in _base64_forms(secret):
            self._add(name, "base64", form)
        for form in _hex_forms(secret):
            self._add(name, "hex", form)
        return self

    def add_pem(self, name, pem):
        body = re.search(b"-----BEGIN [A-Z ]+-----\n(.*)-----END", pem, re.S).group(1)
        self.add(name, body)
        one_line = body.replace(b"\n", b"")
        self._add(name, "without line ends", one_line)
        der = base64.b64decode(one_line)
        self._add(name, "DER", der)
        self._add(name, "little-endian", der[::-1])
        for form in _hex_forms(der):
            self._add(name, "DER in hex", form)
        return self

    def find(self, data):
        blocks = {data[at : at + BLOCK] for at in range(0, len(data), BLOCK)}
        return {self.windows[block] for block in blocks & self.windows.keys()}


class Scanner:
    def __init__(self, needles):
        self.needles = needles
        self._clean = set()  # digests of regions in which there was nothing: libraries, mostly

    def region(self, data):
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest in self._clean:
            return set()
        found = self.needles.find(data)
        if not found:
            self._clean.add(digest)
        return found

    def memory(self, pid):
        """{(needle, mapping)}, and how many bytes were read, and how many could not be. OSError when it has ended."""
        found, read, unreadable = set(), 0, 0
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            lines = file.read().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in lines:
                span, access, *_rest = line.split(maxsplit=5)
                if "r" not in access or "[vvar" in line or "[vsyscall]" in line:
                    continue
                start, end = (int(text, 16) for text in span.split("-"))
                data = self._pages(memory, start, end)
                read += len(data)
                unreadable += end - start - len(data)
                found |= {(name, " ".join(line.split())) for name in self.region(data)}
        return found, read, unreadable

    @staticmethod
    def _pages(memory, start, end):
        """What can be read of a mapping; in one piece, or page by page where a part of it cannot."""
        data = bytearray()
        step = end - start
        at = start
        while at < end:
            try:
                memory.seek(at)
                piece = memory.read(min(step, end - at))
            except (OSError, OverflowError):
                piece = b""
            if piece:
                data += piece
                at += len(piece)
            elif step > 4096:
                step = 4096
            else:
                at += 4096
        return bytes(data)

    def files(self, top, without=()):
        """{(needle, path)} of one file system; names count as well as contents."""
        found = set()
        device = os.lstat(top).st_dev
        for directory, folders, names in os.walk(top):
            folders[:] = [
                name
                for name in folders
                if os.path.join(directory, name) not in without
                and os.lstat(os.path.join(directory, name)).st_dev == device
            ]
            for name in names:
                path = os.path.join(directory, name)
                data = path.encode(errors="replace") + b"\n"
                if stat.S_ISREG(os.lstat(path).st_mode) and os.lstat(path).st_dev == device:
                    with open(path, "rb") as file:
                        data += file.read()
                found |= {(needle, path) for needle in self.needles.find(data)}
        return found

    def arguments(self, but=()):
        """{(needle, file of /proc)} of every process here."""
        found = set()
        for path in glob.glob("/proc/[0-9]*"):
            if int(os.path.basename(path)) in but:
                continue
            for name in ("cmdline", "environ", "comm"):
                try:
                    with open(f"{path}/{name}", "rb") as file:
                        data = file.read()
                except (OSError, ProcessLookupError):
                    continue
                found |= {(needle, f"{path}/{name}") for needle in self.needles.find(data)}
        return found
