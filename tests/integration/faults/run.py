"""One point: an operation with one thing that goes wrong, and what must be true afterwards.

    settle      whoever died is there again, the store is open, nothing is half minted
    check       the operation's own facts, with the answer that its client got
    invariants  those of every operation (the numbers are those of docs/threat-model.md):
                a working secret is stored (7); what was revoked is refused here and upstream (4, 5); every token that
                is alive upstream is in a lease (6); the log's chain holds (8); nobody died but by our hand (10)
    end         everything is revoked, and nothing stays alive that is not written down as lost
"""

import calendar
import os
import re
import signal
import time

from rig import PATIENCE, Watched, Wrong, require
from varlink import CallError, Closed

import auditchain
from harness import wait_until

OPEN_STATES = ("intent", "live", "revoking", "unrecoverable")
# What a role may die of by our hand; another role's end by the supervisor is SIGKILL too.
OURS = (signal.SIGKILL, signal.SIGTERM)
DRAIN = 120  # seconds, for an attempt that was put off, and its own deadline
EXPIRY_MARGIN = 60  # seconds, as the broker keeps a lease behind its end
# Refusals that pass: whoever gets one asks again.
PASSING = ("Unavailable", "Busy", "KeyringLocked", "KeyringHung", "AuditUnavailable", "UpstreamUnknown", "UpstreamUnreachable",
           "UpstreamRateLimited", "Timeout", "Internal", "KeyringFailed")
STOPPED = ["/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh"]


class Run:
    def __init__(self, broker, upstream, template, operation, fault):
        self.broker = broker
        self.upstream = upstream
        self.github = upstream.github
        self.template = template
        self.operation = operation
        self.fault = fault
        self.delivered, self.revoked = [], []
        self.succeeded = False
        self.answer = self.error = None
        self.message = ""
        self.supervisor_died = self.restarted = self.needs_human = False
        self.struck = False
        self.detail = ""
        self.counts = {}
        self._last_token = 0  # of those that are none of this point's
        self._clients = []
        self._deaths = []
        self._told_early = ""

    # -- what operations use

    def keep(self, client):
        self._clients.append(client)
        return client

    def patience(self):
        """Of a client with a session's descriptor, who alone sees nothing of the death of the process behind it."""
        return 3 if self.fault.kills("session") else 2 * PATIENCE

    def hangs_up(self):
        """Whether the connection that is the lifeline comes to its end."""
        try:
            return bool(self._clients) and self._clients[-1].receive_message() is None
        except Closed:
            return True

    def wait(self, condition, what, timeout=PATIENCE):
        try:
            return wait_until(lambda: self._quietly(condition), what, timeout)
        except TimeoutError:
            raise Wrong(what) from None

    @staticmethod
    def _quietly(condition):
        try:
            return condition()
        except (CallError, Closed, OSError):
            return None

    def retry(self, function):
        """What fails for a while, now that nothing goes wrong any more."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return function()
            except (CallError, Closed, OSError) as error:
                name = error.name if isinstance(error, CallError) else "closed"
                if name not in PASSING and name != "closed":
                    raise Wrong(f"it is refused afterwards: {error}") from error
                if time.monotonic() > end:
                    raise Wrong(f"it does not work again: {error}") from error
            time.sleep(0.02)

    def require_alive(self, token):
        status = self.upstream.use(token)
        require(status == 200, f"the upstream answers a token that was given out with {status}")

    def require_dead(self, token):
        status = self.upstream.use(token)
        require(status == 401, f"the upstream answers a token whose revocation was confirmed with {status}")

    def audit(self):
        self.retry(self.broker.status)  # writes what is on its way
        return auditchain.read(self.broker.audit_path)

    def alive(self):
        return self.github.tokens("alive", after=self._last_token)

    def uses_upstream(self):
        return sum(token["uses"] for token in self.github.tokens(after=self._last_token))

    def live_upstream(self, but_unrecoverable=False):
        """How many tokens are alive; without as many as the broker has written down as lost."""
        lost = len(self.broker.leases(state="unrecoverable")) if but_unrecoverable else 0
        return max(0, len(self.alive()) - lost)

    def kill_supervisor(self):
        watched = Watched(self.broker)
        for fd in self.broker.kill():
            os.close(fd)
        self._wait_gone(watched)
        self.close_clients()

    def restart(self):
        """In order, with everything as it is."""
        self.close_clients()
        self.broker.stop(expect=None)
        self.broker.up()
        self.restarted = self.supervisor_died = True

    # -- the course of it

    def execute(self):
        self._last_token = self.upstream.last_token()
        self.upstream.reset()
        self.fault.before(self)
        self.broker.put_back(self.template)
        self.broker.up()
        self.operation.prepare(self)
        self.fault.arm(self)
        watched = Watched(self.broker) if self.broker.process else None
        try:
            self._perform()
            self.fault.disarm(self)
            self._settle(watched)
        finally:
            if watched:
                watched.close()
        self._check()

    def _perform(self):
        if self.operation.survives_start:
            self._launch_traced()
        self.fault.perform(self, self._ask)

    def _ask(self):
        try:
            self.answer = self.operation.perform(self)
            self.succeeded = True
        except CallError as error:
            self.error, self.message = error.name, error.message
        except (Closed, ConnectionError, FileNotFoundError) as error:
            self.error, self.message = "closed", str(error)
        except TimeoutError as error:
            if not self.operation.survives_start and not self.fault.kills("session"):
                raise Wrong(f"the client waits for ever: {error}") from error
            self.error, self.message = "closed", str(error)
        # The log's file follows a little later, unless it is asked for: that is a step too.
        self._quietly(self.broker.status)

    def _launch_traced(self):
        """Traced from its first call on, where that may be done."""
        if os.geteuid() != 0:
            self.broker.launch()
            return
        self.broker.prefix = STOPPED
        try:
            self.broker.launch()
        finally:
            self.broker.prefix = []
        pid = self.broker.process.pid
        wait_until(lambda: self._state_of(pid) == "T", "it does not stop")
        self.fault.attach(self, [("supervisor", pid)])
        os.kill(pid, signal.SIGCONT)

    @staticmethod
    def _state_of(pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]

    def _wait_gone(self, watched):
        watched.wait()
        watched.close()

    def note(self, result):
        """What the injector saw."""
        self.counts = result["counts"]
        self.struck = self.struck or result["struck"]
        self.detail = self.detail or result["detail"]
        self._deaths += result["deaths"]
        self._told_early = self._told_early or result["told_early"]

    def _settle(self, watched):
        if self.broker.process is None or self.broker.supervisor_is_dead():
            self._begin_anew(watched)
        try:
            self.broker.wait_ready()
        except TimeoutError as error:
            raise Wrong(f"it does not come back: {error}") from error
        self._wait_closed()

    def _wait_closed(self):
        """No mint is under way any more, and what came of each is written down: where the state could not be written, within
        seconds; of these waits, which are long, every tenth is waited for, and the others are left to the next start."""
        if self.fault.of_the_state() and self.broker.leases(state="intent") and self.fault.number % 10:
            self.restart()
        self.wait(lambda: not self.broker.leases(state="intent"), "an intent stays open")

    def _begin_anew(self, watched):
        self.supervisor_died = True
        if watched:
            watched.wait()
        if self.broker.process is not None:
            status = self.broker.process.wait()
            self.broker.log.join()
            if not self.fault.kills("supervisor") and not self._said_why_it_cannot_start(status):
                raise Wrong(f"the supervisor ended with {status}:\n" + "\n".join(self.broker.log.lines))
            self.broker.process = None
        self.close_clients()
        self.broker.up()

    def _said_why_it_cannot_start(self, status):
        """Without its locks, its directories and its socket it serves nobody, and says which of them it cannot have."""
        said = any(re.search(r"(/state|/runtime|/runtime/s|socket): (Input/output|No space)", line) for line in self.broker.log.lines)
        return self.operation.survives_start and self.fault.is_of_files_of("supervisor") and status == 1 and said

    def close_clients(self):
        for client in self._clients:
            client.close()
        self._clients = []

    # -- what must hold

    def _check(self):
        self._nobody_crashed()
        # What could not be written is not there to be synced.
        require(self.fault.of_the_state() or not self._told_early, f"it speaks before this is synced: {self._told_early}")
        self.operation.check(self)
        if not self.needs_human and self._store_was_written():
            self._secret_works()
        self._all_known()
        self._audit_verifies()
        self.pending = False
        if self._is_to_be_ended():
            self._end()

    def _is_to_be_ended(self):
        """It costs as much as the rest: always where something was lost or is pending, else at every fifth number."""
        odd = [row for row in self.broker.leases() if row["state"] in ("revoking", "unrecoverable", "intent")]
        return bool(odd) or self.fault.number % 5 == 0

    def _nobody_crashed(self):
        for death in self._deaths:
            number = death.get("signal")
            require(number in OURS or number is None, f"{death['role']} died of signal {number}")
        for line in self.broker.log.lines if self.broker.log else []:
            found = re.search(r"was killed by signal (\d+)", line)
            require(not found or int(found[1]) in OURS, line)
            require("AddressSanitizer" not in line and "runtime error" not in line, line)

    def _store_was_written(self):
        """If not, it is byte for byte what worked before."""
        name = "secrets.sealed"
        with open(os.path.join(self.template, name), "rb") as before, open(self.broker.path("state", name), "rb") as now:
            return before.read() != now.read()

    def _secret_works(self):
        session = self.retry(lambda: self.operation.probe(self))
        self.retry(lambda: self.broker.revoke(session=session.id))

    def _all_known(self):
        """No token is alive that no lease stands for; what was revoked is not alive without being tried again."""
        # In this order: a lease ends behind its token.
        leases = [row for row in self.broker.leases() if row["state"] in OPEN_STATES]
        alive = self.alive()
        require(len(alive) <= len(leases), f"{len(alive)} tokens are alive upstream, and {len(leases)} leases are open")
        hashes = {self.upstream.digest(value) for value in self.delivered}
        unheard = [token for token in alive if token["sha256"] not in hashes]
        lost = [row for row in leases if row["state"] == "unrecoverable"]
        heard = [row for row in leases if row["state"] in ("live", "revoking")]
        require(len(alive) - len(unheard) <= len(heard), "a token that was delivered is written down as lost")
        for row in lost:
            require(row.get("expires"), "a lost token has no end")
        if lost and unheard:
            latest = max(self.seconds(row["expires"]) for row in lost)
            for token in unheard[len(heard) :]:
                require(self.seconds(token["expires"]) <= latest + EXPIRY_MARGIN, "a lost token outlives what is known")
        waiting = {self.upstream.digest(value) for value in self.revoked}
        still = [token for token in alive if token["sha256"] in waiting]
        pending = [row for row in leases if row["state"] == "revoking"]
        require(len(still) <= len(pending), "something revoked is alive upstream, and nobody tries again")

    @staticmethod
    def seconds(text):
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))

    def _audit_verifies(self):
        status = self.retry(self.broker.status)
        require(not status["audit"].startswith("tampered") if "audit" in status else True, f"audit: {status.get('audit')}")
        events = auditchain.read(self.broker.audit_path)
        head = events[-1]["hash"] if events else "0" * 64
        if (len(events), head) != (status["audit_sequence"], status["audit_head"]):
            self.retry(self.broker.status)
            events = auditchain.read(self.broker.audit_path)
            require(len(events) >= status["audit_sequence"], f"the head is at {status['audit_sequence']}, the file at {len(events)}")
            head = events[-1]["hash"]
        code, out, err = self.broker.cli("audit", "verify", "--file", self.broker.audit_path, "--head", f"{len(events)}:{head}")
        require(code == 0, f"`audit verify` ends with {code}: {out}{err}")

    def _end(self):
        """All is revoked. What the upstream has not confirmed by then is looked at again when its time has come."""
        answer = self.retry(lambda: self.broker.revoke(all=True))
        self.pending = answer["pending"] or self.broker.status()["pending"] > 0
        self.lost = len(self.broker.leases(state="unrecoverable"))
        self.tokens = [token["id"] for token in self.github.tokens(after=self._last_token)]
        if not self.pending:
            require(len(self.alive()) <= self.lost, "a token stays alive behind everything")
        require(self.broker.status()["sessions"] == 0, "a session is left behind `revoke --all`")

    def clean_up(self):
        self.close_clients()
        self.broker.stop(expect=None)


class Drain:
    """Revocations that were pending when their point ended: a start later they must come to their end."""

    def __init__(self, run, place):
        self.place, self.tokens, self.lost, self.name = place, run.tokens, run.lost, str(run.fault)
        self.alive = run.upstream.alive()
        run.broker.save(place)

    def finish(self, broker, upstream):
        upstream.go_back(self.alive)
        broker.put_back(self.place)
        broker.up()
        try:
            self._wait(broker)
            alive = [token for token in upstream.github.tokens("alive") if token["id"] in self.tokens]
            require(len(alive) <= self.lost, "a token stays alive behind everything")
        finally:
            broker.stop(expect=None)

    @staticmethod
    def _wait(broker):
        last = []

        def none_left():
            last[:] = broker.leases(state="revoking")
            return not last

        try:
            wait_until(lambda: Run._quietly(none_left), "a revocation stays pending", DRAIN)
        except TimeoutError as error:
            raise Wrong(f"{error}: {last}") from error
