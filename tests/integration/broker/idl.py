"""A small parser of varlink interface descriptions, from the grammar at varlink.org alone."""

import re

TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\n\s*)*
    (?P<token>->|\[\]|\[string\]|[(),:?]|[A-Za-z][A-Za-z0-9_.-]*|$)""",
    re.VERBOSE,
)
INTERFACE = re.compile(r"[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+")
NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
BASIC = {"bool", "int", "float", "string", "object"}


class Bad(Exception):
    pass


class Parser:
    def __init__(self, text):
        self.text, self.at = text, 0
        self.types, self.methods, self.errors, self.used = {}, {}, {}, set()
        self.name = self._interface()

    def _peek(self):
        found = TOKEN.match(self.text, self.at)
        if not found:
            raise Bad(f"not understood: {self.text[self.at : self.at + 40]!r}")
        return found["token"], found.end()

    def _take(self, expected=None):
        token, end = self._peek()
        if expected is not None and token != expected:
            raise Bad(f"{expected!r} expected, and there is {self.text[self.at : self.at + 40]!r}")
        self.at = end
        return token

    def _named(self, pattern):
        token = self._take()
        if not pattern.fullmatch(token):
            raise Bad(f"no name: {token!r}")
        return token

    def _interface(self):
        self._take("interface")
        name = self._named(INTERFACE)
        while self._peek()[0]:
            self._member()
        undefined = self.used - set(self.types)
        if undefined:
            raise Bad(f"types that are not defined: {undefined}")
        return name

    def _member(self):
        kind = self._take()
        if kind not in ("type", "method", "error"):
            raise Bad(f"no member: {kind!r}")
        name = self._named(NAME)
        if name in self.types or name in self.methods or name in self.errors:
            raise Bad(f"{name} is defined twice")
        value = self._struct()
        if kind == "method":
            self._take("->")
            value = (value, self._struct())
        {"type": self.types, "method": self.methods, "error": self.errors}[kind][name] = value

    def _struct(self):
        """Fields with their types, or the words of an enumeration."""
        self._take("(")
        fields, typed = {}, None
        while self._peek()[0] != ")":
            name = self._named(FIELD)
            if name in fields:
                raise Bad(f"{name} is there twice")
            has_type = self._peek()[0] == ":"
            if typed is None:
                typed = has_type
            if typed != has_type:
                raise Bad("half an enumeration")
            if has_type:
                self._take(":")
            fields[name] = self._type() if has_type else None
            if self._peek()[0] != ")":
                self._take(",")
        self._take(")")
        return fields

    def _type(self):
        token, _ = self._peek()
        if token in ("?", "[]", "[string]"):
            self._take()
            return (token, self._type())
        if token == "(":
            return self._struct()
        self._take()
        if token not in BASIC:
            if not NAME.fullmatch(token):
                raise Bad(f"no type: {token!r}")
            self.used.add(token)
        return token


def conforms(parser, kind, value):
    """Whether a JSON value has the type."""
    if isinstance(kind, tuple):
        if kind[0] == "?":
            return value is None or conforms(parser, kind[1], value)
        if kind[0] == "[]":
            return isinstance(value, list) and all(conforms(parser, kind[1], item) for item in value)
        return isinstance(value, dict) and all(conforms(parser, kind[1], item) for item in value.values())
    if isinstance(kind, dict):
        return conforms_struct(parser, kind, value)
    if kind in parser.types:
        return conforms_struct(parser, parser.types[kind], value)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "float": (int, float), "string": str, "object": dict}[kind])


def conforms_struct(parser, fields, value):
    if fields and None in fields.values():
        return value in fields
    if not isinstance(value, dict) or set(value) - set(fields):
        return False
    return all(conforms(parser, kind, value.get(name)) for name, kind in fields.items())
