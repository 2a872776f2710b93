"""The stand-in's own clock, so that a test can let an hour pass at once."""

import datetime
import email.utils
import time


class Clock:
    """Wall clock plus an offset that only the admin side moves."""

    def __init__(self):
        self.offset = 0

    def now(self):
        return time.time() + self.offset

    def advance(self, seconds):
        self.offset += seconds


def iso(timestamp):
    """RFC 3339 in UTC with whole seconds, as every timestamp of the API is."""
    moment = datetime.datetime.fromtimestamp(int(timestamp), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def http_date(timestamp):
    return email.utils.formatdate(timestamp, usegmt=True)
