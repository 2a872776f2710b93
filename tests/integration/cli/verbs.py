#!/usr/bin/env python3
"""Each verb against a broker of straw: what it asks, what it prints, how it exits."""
import datetime
import fcntl
import hashlib
import importlib.util
import json
import os
import pathlib
import pty
import socket
import struct
import subprocess
import termios
import time

spec = importlib.util.spec_from_file_location("support", pathlib.Path(__file__).with_name("support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
Broker, Drop, Fault, Home, Replies, Silence = (support.Broker, support.Drop, support.Fault, support.Home,
                                               support.Replies, support.Silence)
equal, holds, times = support.equal, support.holds, support.times

SESSION = "s-0123456789abcdef"
LEASE = "l-0123456789abcdef"
SECRET = "not-" + "a-real-" + "secret"


def secret_row(name, **other):
    return dict({"name": name, "provider": "github_app", "base_url": "https://api.github.com",
                 "hosts": ["api.github.com"], "parameters": {"app_id": "1"}, "generation": 1,
                 "added": times(-3600 * 3), "leases": 2}, **other)


def status_reply():
    return {"version": "0.1.0", "started": times(-60), "store": "memory", "store_state": "ready", "secrets": 1,
            "profiles": 2, "sessions": 3, "leases": 4, "pending": 0, "incidents": 1, "audit_sequence": 5, "audit_head": "0" * 64,
            "audit_base": 0, "audit_base_head": "0" * 64,
            "audit_path": "/nowhere/audit.log", "audit_state": "ready",
            "roles": [{"role": "gate", "pid": 7, "restarts": 0, "started": times(-60)}]}


def profile_row(name, **other):
    return dict({"name": name, "secret": "github", "deliver": "env", "ttl": 1800, "expose_secret": False,
                 "scope": {"repositories": ["octo/hello"], "permissions": {"contents": "read"}},
                 "source": "mcpcred.conf:3"}, **other)


def test_list_asks_for_all_pages():
    pages = Replies([{"secrets": [secret_row("a"), secret_row("b")]}, {"secrets": [secret_row("c")]}])
    with Home({"ListSecrets": lambda p: pages}) as home:
        document = home.json("list")
        equal([row["name"] for row in document["secrets"]], ["a", "b", "c"])
        equal(document["secrets"][0]["hosts"], ["api.github.com"])
        equal(document["secrets"][0]["parameters"], {"app_id": "1"})
        equal(document["secrets"][0]["rotated"], None)
        text = home.run("list").stdout.decode()
        holds("3h ago" in text, text)
        holds(max(map(len, text.splitlines())) <= 80, text)


def test_list_says_when_each_is_rotated_next():
    rows = [secret_row("a", due=times(3 * 86400 + 60)), secret_row("b"), secret_row("c", due=times(-2 * 86400 - 60))]
    with Home({"ListSecrets": lambda p: {"secrets": rows}}) as home:
        lines = home.run("list").stdout.decode().splitlines()
        at = lines[0].index("ROTATES")
        equal([line[at:].split("  ")[0].strip() for line in lines[1:]], ["in 3d", "-", "2d ago"])
        equal([bool(row["due"]) for row in home.json("list")["secrets"]], [True, False, True])


def test_list_of_nothing_says_so_on_stderr():
    with Home({"ListSecrets": lambda p: {"secrets": []}}) as home:
        done = home.run("list")
        equal((done.returncode, done.stdout), (0, b""))
        holds(b"mcpcred add" in done.stderr, done.stderr)


def test_sessions_and_leases():
    session = {"session": SESSION, "uid": 0, "profiles": ["p", "q"], "state": "live", "opened": times(-90),
               "expires": times(29 * 60 + 30), "lifeline": "descriptor", "label": "a\u001b[31mb"}
    lease = {"lease": LEASE, "kind": "handle", "session": SESSION, "profile": "p", "secret": "github", "generation": 1,
             "state": "live", "outcome": "none", "created": times(-1), "expires": times(3500), "attempts": 0}
    with Home({"ListSessions": lambda p: {"sessions": [session]}, "ListLeases": lambda p: {"leases": [lease]}}) as home:
        text = home.run("sessions").stdout.decode()
        holds("in 29m" in text and "p, q" in text, text)
        holds("\033" not in text, text)
        equal(home.json("sessions", "--all")["sessions"][0]["label"], "a\u001b[31mb")
        equal(home.broker.asked("ListSessions")[-1][1].get("all"), True)
        holds("in 58m" in home.run("leases").stdout.decode())
        equal(home.json("leases")["leases"][0]["expires"], lease["expires"])


def test_what_is_over_has_no_end_to_come():
    row = {"lease": LEASE, "kind": "credential", "session": SESSION, "profile": "p", "secret": "s", "generation": 1,
           "state": "revoked", "outcome": "confirmed", "created": times(-1), "expires": times(3500), "attempts": 0}
    with Home({"ListLeases": lambda p: {"leases": [row, {**row, "outcome": "pending"}]}}) as home:
        lines = home.run("leases", "--all").stdout.decode().splitlines()
        equal(lines[1].split()[4:7], ["revoked", "-", "confirmed"])
        holds("in 58m" in lines[2], lines)


def test_leases_say_what_they_are_and_can_be_selected():
    lease = {"lease": LEASE, "kind": "stored", "session": SESSION, "profile": "p", "secret": "openai", "generation": 1,
             "state": "live", "outcome": "none", "created": times(-1), "expires": times(3500), "attempts": 0}
    dying = {**lease, "kind": "secret", "session": "", "profile": "", "state": "revoking", "outcome": "pending"}
    dying.pop("expires")
    with Home({"ListLeases": lambda p: {"leases": [lease, dying]}}) as home:
        lines = home.run("leases").stdout.decode().splitlines()
        equal(lines[1].split()[1:4], ["stored", SESSION, "p"])
        equal(lines[2].split()[1:6], ["secret", "-", "openai", "revoking", "-"])
        home.run("leases", "--provider", "github-app", "--principal", "1000", "--since", "2026-01-31T08:00:00+01:00")
        equal(home.broker.calls[-1][1], {"provider": "github-app", "principal": "1000", "since": "2026-01-31T07:00:00Z"})
        equal(home.run("leases", "--since", "yesterday").returncode, 2)


def test_profile_says_why_it_cannot_be_opened():
    rows = {"profiles": [profile_row("good"), profile_row("bad", problem="There is no secret github.")]}
    with Home({"ListProfiles": lambda p: rows}) as home:
        equal(len(home.json("profile")["profiles"]), 2)
        one = home.json("profile", "bad")["profiles"]
        equal((len(one), one[0]["problem"]), (1, "There is no secret github."))
        text = home.run("profile", "good").stdout.decode()
        holds("octo/hello" in text and "contents: read" in text and "30m" in text, text)
        holds("no secret github" in home.run("profile", "bad").stdout.decode())
        equal(home.run("profile", "absent").returncode, 6)
        equal(home.json("profile", "absent", status=6)["error"]["code"], "NotFound")


def test_profile_shows_the_way_out_as_it_is_in_force():
    egress = {"slot": "header", "slot_name": "x-api-key", "slot_prefix": "Token ", "scrub": "strict", "rate": 60,
              "rate_seconds": 60, "max_body": 1024, "websocket": True,
              "allow": ["GET api.example.com /v1/**", "POST api.example.com /v1/x"],
              "deny": ["* api.example.com /v1/keys/**"]}
    row = profile_row("way", deliver="endpoint", preset="generic", egress=egress, env_url="BASE_URL",
                      url_host="api.example.com", url_path="/v1", variables={"OTHER": "{handle}"})
    with Home({"ListProfiles": lambda p: {"profiles": [row]}}) as home:
        equal(home.json("profile", "way")["profiles"][0]["egress"]["allow"], egress["allow"])
        text = home.run("profile", "way").stdout.decode()
        for line in ("preset        generic", 'key stands in header x-api-key "Token "',
                     "base URL      BASE_URL, for https://api.example.com/v1", "allow         GET api.example.com /v1/**",
                     "              POST api.example.com /v1/x", "deny          * api.example.com /v1/keys/**",
                     "rate          60/min", "max body      1024 bytes", "scrub         strict", "websocket     yes",
                     "sets          OTHER={handle}"):
            holds(line in text, text)
        holds("max uses" not in text and "cookies" not in text, text)
        equal(home.run("profile", "absent", "--json").returncode, 6)


def test_status():
    with Home({"Status": lambda p: status_reply()}) as home:
        document = home.json("status")
        equal((document["running"], document["sessions"], document["roles"][0]["role"]), (True, 3, "gate"))
        holds(b"memory, ready" in home.run("status").stdout)


def test_no_broker_is_status_7():
    with Home() as home:
        equal(home.json("status", status=7)["error"]["code"], "Unreachable")
        done = home.run("list")
        equal((done.returncode, done.stdout), (7, b""))
        holds(b"No broker is running" in done.stderr, done.stderr)


def test_exit_codes_of_faults():
    codes = {"Internal": 1, "InvalidParameter": 2, "KeyringLocked": 4, "KeyringAbsent": 4, "PolicyDenied": 5,
             "NotAllowed": 5, "NotFound": 6, "Unavailable": 7, "UpstreamUnreachable": 1, "SomethingNew": 1}
    for name, status in codes.items():
        def fail(parameters, name=name):
            raise Fault(name, field="x.y", parameter="x.y", retry_after=3)
        with Home({"Status": fail}) as home:
            error = home.json("status", status=status)["error"]
            equal((error["message"], error["remedy"], error["field"], error["retry_after_ms"]),
                  (f"{name} happened.", "Mend it.", "x.y", 3000))
            done = home.run("status")
            equal((done.returncode, done.stdout), (status, b""))
            holds(b"Mend it." in done.stderr and b"x.y: " in done.stderr, done.stderr)


def test_standard_varlink_errors():
    class Old(Broker):
        def answer(self, connection, call, fds):
            self.send(connection, {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "Status"}})
    with Home() as home:
        Old(home.runtime)
        equal(home.json("status", status=2)["error"]["code"], "MethodNotFound")


def test_a_secret_among_the_words_is_not_repeated():
    with Home({}) as home:
        for words in [["add", "x", "--preset", "openai", "sk-secret"], ["revoke", "--token", "sk-secret"],
                      ["rotate", "x", "sk-secret"], ["unlock", "sk-secret"]]:
            for more in ([], ["--json"]):
                done = home.run(*words, *more)
                equal(done.returncode, 2, words)
                equal((b"never an argument" in done.stderr, b"sk-secret" in done.stderr + done.stdout), (True, False))


def test_a_selector_without_its_option_is_told_which_there_are():
    with Home({}) as home:
        done = home.run("revoke", SESSION)
        equal((done.returncode, b"a word needs an option" in done.stderr, SESSION.encode() in done.stderr), (2, True, False))


def test_a_note_stands_behind_what_it_is_about():
    row = {"lease": LEASE, "session": SESSION, "profile": "p", "secret": "s", "outcome": "impossible_rotate"}
    with Home({"Revoke": lambda p: {"sessions": 1, "credentials": [row], "pending": False}}) as home:
        done = home.run("revoke", "--all", stderr=subprocess.STDOUT)
        text = done.stdout.decode()
        holds(text.index(LEASE) < text.index("can only be ended by rotating"), text)


def test_watch_refuses_a_verdict_that_never_comes():
    with Home({}) as home:
        equal(home.run("watch", "--verdict", "nope").returncode, 2)
        equal(home.broker.calls, [])


def test_usage_is_status_2():
    with Home({}) as home:
        for words in [["nonsense"], [], ["list", "extra"], ["list", "--nonsense"], ["remove"], ["revoke"],
                      ["revoke", "--all", "--profile", "x"], ["add", "x"], ["audit", "eat"], ["list", "--json=1"],
                      ["list", "--timeout", "soon"], ["token"], ["open", "p"], ["list", "-x"], ["list", "--", "x"],
                      ["add", "UPPER", "--host", "h", "--stdin"], ["rotate", "x", "--plan", "--abort"],
                      ["rotate", "x", "--abort", "--file", "f"], ["rotate", "x", "--plan", "--now"],
                      ["audit", "tail", "--lines", "0"], ["watch", "--since", "99999999999999999999"],
                      ["add", "x", "--provider", "nope", "--stdin"], ["open", "p", "--lifetime", "--permission", "contents"]]:
            done = home.run(*words, stdin="x")
            equal(done.returncode, 2, words)
            equal(done.stdout, b"", words)
        equal(home.broker.calls, [])


def test_mistakes_are_json_too():
    with Home({}) as home:
        for words in (["list", "--nonsense"], ["list", b"\xff\xc3"], ["nonsense"]):
            done = home.run(*[w if isinstance(w, str) else os.fsdecode(w) for w in words], "--json")
            equal((done.returncode, json.loads(done.stdout)["error"]["code"]), (2, "Usage"), words)


def test_broker_does_not_wait_for_people():
    """No connection is held while a secret is waited for."""
    with Home({"Unlock": lambda p: {"store": "sealed-file", "store_state": "ready"}}) as home:
        equal(home.run("unlock", "--stdin", stdin="x").returncode, 0)
        equal(home.broker.accepted, 2) # to see that one is there, and to ask it


def test_help_names_each_verb_and_option():
    with Home() as home:
        text = home.run("help").stdout.decode()
        for verb in ("add list remove exec open token rotate revoke status sessions leases profile audit doctor "
                     "unlock lock reload help version").split():
            holds(f"  {verb} " in text, verb)
            done = home.run("help", verb)
            equal(done.returncode, 0)
            holds(done.stdout.startswith(f"Usage: mcpcred {verb}".encode()), done.stdout)
            equal(home.run(verb, "--help").stdout, done.stdout)
        holds(b"125" in home.run("help", "exit-codes").stdout)
        equal(home.json("version")["version"], "0.1.0")


def test_help_says_what_each_provider_can():
    with Home() as home:
        text = home.run("help", "providers").stdout.decode()
        rows = {line.split()[0]: line.split()[1:5] for line in text.splitlines()[1:7]}
        equal(rows["gitlab"], ["yes", "yes", "replace", "yes"])
        equal(rows["static"], ["no", "no", "guided", "no"])
        providers = {item["name"]: item for item in home.json("help", "providers")["providers"]}
        equal(set(providers), set(rows))
        equal((providers["github_pat"]["ends_secret"], providers["github_pat"]["preset"]), (True, "github"))


def test_add_takes_the_hosts_that_a_provider_usually_has():
    with Home({"AddSecret": lambda p: {"identity": "octocat", "generation": 1}}) as home:
        equal(home.run("add", "gh", "--provider", "github_pat", "--stdin", stdin=SECRET).returncode, 0)
        equal(home.run("add", "gh", "--provider", "github_pat", "--host", "ghe.example", "--stdin", stdin=SECRET).returncode, 0)
        equal(home.run("add", "gitlab", "--stdin", stdin=SECRET).returncode, 0)
        asked = [parameters for _, parameters, _ in home.broker.asked("AddSecret")]
        equal(asked[0]["hosts"], ["api.github.com", "uploads.github.com", "github.com"])
        equal(asked[1]["hosts"], ["ghe.example"])
        equal((asked[2]["provider"], asked[2].get("hosts"), asked[2]["verify"]), ("gitlab", None, True))


def test_add_sends_the_secret_beside_the_message():
    with Home({"AddSecret": lambda p: {"identity": "octo-app", "generation": 1}}) as home:
        done = home.run("add", "github", "--app-id", "12", "--installation-id", "34", "--stdin", stdin=SECRET + "\n")
        equal(done.returncode, 0, done)
        _, parameters, values = home.broker.asked("AddSecret")[0]
        equal(values, [SECRET.encode()])
        equal(parameters, {"name": "github", "provider": "github_app", "verify": True,
                           "parameters": {"app_id": "12", "installation_id": "34"}})
        holds(b"octo-app" in done.stdout)
        document = home.json("add", "key", "--host", "api.example", "--host", "b.example", "--stdin", "--replace",
                             stdin=SECRET)
        equal((document["name"], document["generation"]), ("key", 1))
        parameters = home.broker.asked("AddSecret")[1][1]
        equal((parameters["provider"], parameters["hosts"], parameters["replace"]),
              ("static", ["api.example", "b.example"], True))
        holds(SECRET not in json.dumps([call[:2] for call in home.broker.calls]))


def test_add_takes_the_hosts_of_a_preset():
    with Home({"AddSecret": lambda p: {"generation": 1}}) as home:
        equal(home.run("add", "github", "--preset", "github", "--host", "ghe.example", "--stdin", stdin="x").returncode, 0)
        parameters = home.broker.asked("AddSecret")[0][1]
        equal((parameters["provider"], parameters["hosts"]),
              ("static", ["api.github.com", "uploads.github.com", "github.com", "ghe.example"]))
        equal(home.run("add", "github", "--host", "api.github.com", "--stdin", stdin="x").returncode, 0)
        equal(home.broker.asked("AddSecret")[1][1]["provider"], "static")
        for name in ("nonsense", "generic"):
            done = home.run("add", "k", "--preset", name, "--stdin", stdin="x")
            equal(done.returncode, 2)
            holds(b"openai" in done.stderr and b"slack" in done.stderr, done)


def test_secret_sources():
    with Home({"AddSecret": lambda p: {"generation": 1}}) as home:
        path = home.path / "secret"
        path.write_text(SECRET + "\n\n")
        os.chmod(path, 0o600)
        add = ["add", "k", "--host", "h.example"]
        equal(home.run(*add, "--file", path).returncode, 0)
        equal(home.run(*add, "--from-env", "THE_ONE", env={"THE_ONE": SECRET}).returncode, 0)
        equal(home.run(*add, "--from-command", f"printf '%s\\r\\n' {SECRET}").returncode, 0)
        # The variable is gone for what runs afterwards.
        values = [call[2][0].decode() for call in home.broker.asked("AddSecret")]
        equal(values, [SECRET + "\n", SECRET, SECRET])
        n = len(home.broker.calls)
        equal(home.run(*add, "--from-command", f"echo {SECRET}; exit 3").returncode, 1)
        equal(home.run(*add, "--from-env", "ABSENT").returncode, 6)
        equal(home.run(*add, "--file", home.path / "absent").returncode, 6)
        equal(home.run(*add, "--stdin", stdin="").returncode, 2)
        equal(home.run(*add, "--stdin", stdin="x" * 65537).returncode, 2)
        equal(home.run(*add, "--stdin", "--file", path).returncode, 2)
        equal(len(home.broker.calls), n)
        equal(home.run(*add, "--stdin", stdin="y" * 65536).returncode, 0)
        equal(len(home.broker.calls[-1][2][0]), 65536)


def test_no_terminal_no_prompt():
    with Home({}) as home:
        done = subprocess.run([support.MCPCRED, "add", "k", "--host", "h"], stdin=subprocess.DEVNULL,
                              capture_output=True, env=home.environment(), start_new_session=True)
        equal(done.returncode, 2)
        holds(b"--stdin" in done.stderr, done.stderr)


def test_remove_needs_yes_without_a_terminal():
    removed = []

    def remove(parameters):
        if not parameters.get("dry_run"):
            removed.append(parameters["name"])
        return {"sessions": 1, "leases": 2}
    with Home({"RemoveSecret": remove}) as home:
        done = subprocess.run([support.MCPCRED, "remove", "github"], stdin=subprocess.DEVNULL, capture_output=True,
                              env=home.environment(), start_new_session=True)
        equal((done.returncode, removed), (2, []))
        document = home.json("remove", "github", "--dry-run")
        equal((document["leases"], document["dry_run"], removed), (2, True, []))
        equal(home.json("remove", "github", "--yes")["sessions"], 1)
        equal(removed, ["github"])


def test_revoke_selects_and_reports():
    row = {"lease": LEASE, "session": SESSION, "profile": "p", "secret": "github", "outcome": "confirmed"}
    with Home({"Revoke": lambda p: {"sessions": 1, "credentials": [row], "pending": False}}) as home:
        for words, parameters in [(["--session", SESSION], {"session": SESSION}), (["--profile", "p"], {"profile": "p"}),
                                  (["--secret", "github"], {"secret": "github"}), (["--all"], {"all": True}),
                                  (["--provider", "static"], {"provider": "static"}),
                                  (["--principal", "1000"], {"principal": "1000"}),
                                  (["--principal", "root"], {"principal": "0"}),
                                  (["--since", "2026-01-31T08:00:00Z"], {"since": "2026-01-31T08:00:00Z"}),
                                  (["--profile", "p", "--secret", "github", "--dry-run"],
                                   {"profile": "p", "secret": "github", "dry_run": True})]:
            equal(home.run("revoke", *words).returncode, 0)
            equal(home.broker.calls[-1][1], parameters)
        token = "ghs" + "_" + "A" * 36
        document = home.json("revoke", "--token", "--stdin", stdin=token + "\n")
        equal(home.broker.calls[-1][1], {"token_hash": hashlib.sha256(token.encode()).hexdigest()})
        equal(document["credentials"][0]["outcome"], "confirmed")
        holds(token not in json.dumps(document))


def test_revoke_since_counts_back_from_now():
    with Home({"Revoke": lambda p: {"sessions": 0, "credentials": [], "pending": False}}) as home:
        for ago, seconds in [("90", 90), ("30m", 1800), ("2h", 7200)]:
            equal(home.run("revoke", "--since", ago, "--provider", "static").returncode, 0)
            since = datetime.datetime.fromisoformat(home.broker.calls[-1][1]["since"].replace("Z", "+00:00")).timestamp()
            holds(abs(time.time() - seconds - since) < 30, since)
        for bad in ["", "2 h", "yesterday", "2026-13-01T00:00:00Z", "-1h"]:
            equal(home.run("revoke", "--since", bad).returncode, 2)


def test_revoke_of_a_user_that_is_not_there():
    with Home({"Revoke": lambda p: {"sessions": 0, "credentials": [], "pending": False}}) as home:
        done = home.run("revoke", "--principal", "no-such-user-here")
        equal((done.returncode, home.broker.asked("Revoke")), (6, []))
        holds(b"no-such-user-here" in done.stderr, done.stderr)


def test_revoke_counts_what_it_does_not_list():
    row = {"lease": LEASE, "session": SESSION, "profile": "p", "secret": "github", "outcome": "confirmed"}
    totals = {"none": 5, "confirmed": 9000, "pending": 3, "impossible_rotate": 1}
    reply = {"sessions": 1, "credentials": [row], "totals": totals, "pending": True}
    with Home({"Revoke": lambda p: reply}) as home:
        document = home.json("revoke", "--all", status=8)
        equal((document["totals"], document["leases"], len(document["credentials"])), (totals, 9009, 1))
        text = home.run("revoke", "--all").stdout.decode()
        holds("... and 9008 more." in text and "9000 confirmed, 3 pending, 1 only by" in text, text)


def test_revoke_of_nothing_is_done():
    with Home({"Revoke": lambda p: {"sessions": 0, "credentials": [], "pending": False}}) as home:
        equal(home.run("revoke", "--all").returncode, 0)
        equal(home.json("revoke", "--all")["credentials"], [])


def test_revoke_pending_is_status_8():
    rows = [{"lease": LEASE, "session": SESSION, "profile": "p", "secret": "s", "outcome": "pending"},
            {"lease": LEASE, "session": SESSION, "profile": "p", "secret": "s", "outcome": "impossible_rotate"}]
    pages = Replies([{"sessions": 0, "credentials": rows[:1], "pending": True},
                     {"sessions": 1, "credentials": rows[1:], "pending": False}])
    with Home({"Revoke": lambda p: pages}) as home:
        document = home.json("revoke", "--all", status=8)
        equal((len(document["credentials"]), document["sessions"], document["pending"]), (2, 1, True))
        done = home.run("revoke", "--all")
        equal(done.returncode, 8)
        holds(b"rotat" in done.stderr, done.stderr)


def rotate_step(step, message=None, **more):
    return {"step": step, "message": message or step, "generation": 2, "pending": False, "made_by_provider": False, **more}


def rotating(made, *steps):
    """What a broker answers whose provider makes the value, or does not."""
    def rotate(parameters):
        if parameters.get("plan"):
            return rotate_step("plan", "Make a key there.", made_by_provider=made)
        if parameters.get("abort"):
            return rotate_step("aborted", "Dropped.")
        return Replies(list(steps))
    return {"Rotate": rotate}


def test_rotate_plans_and_streams():
    names = ("stored", "verified", "switched", "done")
    with Home(rotating(False, *map(rotate_step, names))) as home:
        holds(b"Make a key there." in home.run("rotate", "github", "--plan").stdout)
        equal(home.run("rotate", "github", "--abort").returncode, 0)
        document = home.json("rotate", "github", "--stdin", stdin=SECRET)
        equal(([step["step"] for step in document["steps"]], document["pending"]), (list(names), False))
        equal(home.broker.calls[-1][1:], ({"name": "github"}, [SECRET.encode()]))
        # Nobody is there to be asked.
        done = home.run("rotate", "github")
        equal(done.returncode, 2)
        holds(b"Make a key there." in done.stdout)


def test_rotate_asks_the_provider_where_that_makes_it():
    steps = [rotate_step("planned"), rotate_step("waiting"), rotate_step("done", "The old one lives on.", pending=True)]
    with Home(rotating(True, *steps)) as home:
        done = home.run("rotate", "cloudflare", "--grace", "10m")
        equal(done.returncode, 8, done)
        equal([line.split()[0] for line in done.stdout.decode().splitlines()], ["planned", "waiting", "done"])
        equal((home.broker.calls[-1][1]["grace"], home.broker.calls[-1][2]), (600, []))
        document = home.json("rotate", "cloudflare", "--now", status=8)
        equal((document["pending"], len(document["steps"]), home.broker.calls[-1][1]["now"]), (True, 3, True))
        equal(home.run("rotate", "cloudflare", "--allow-wider").returncode, 2)
        equal(home.run("rotate", "cloudflare", "--now", "--grace", "5m").returncode, 2)
        home.json("rotate", "cloudflare", "--allow-wider", "--stdin", status=8, stdin=SECRET)
        equal((home.broker.calls[-1][1]["allow_wider"], home.broker.calls[-1][2]), (True, [SECRET.encode()]))


def test_a_plan_of_what_the_provider_makes_says_that_nobody_is_needed():
    with Home(rotating(True)) as home:
        text = home.run("rotate", "cloudflare", "--plan").stdout.decode()
        holds("nobody has to do anything" in text and text.index("nobody") < text.index("Make a key there."), text)
        equal(home.json("rotate", "cloudflare", "--plan")["steps"][0]["message"], "Make a key there.")
        text = home.run("rotate", "cloudflare", "--paste").stdout.decode()  # who asks for it has to
        holds("Make a key there." in text and "nobody" not in text, text)


def test_metrics_are_whole_or_not_there():
    parts = [{"text": "# TYPE a gauge\na 1\n"}, {"text": "a 2\n"}]
    with Home({"Metrics": lambda p: Replies(parts)}) as home:
        whole = "".join(part["text"] for part in parts)
        equal(home.run("status", "--metrics").stdout.decode(), whole)
        target = home.path / "mcpcred.prom"
        equal(home.run("status", "--textfile", target).returncode, 0)
        equal(target.read_text(), whole)
        equal(target.stat().st_mode & 0o777, 0o644)

        def fail(_parameters):
            raise Fault("Unavailable", message="no", remedy="no")

        home.broker.handlers["Metrics"] = fail
        equal(home.run("status", "--textfile", target).returncode, 7)
        equal(target.read_text(), whole)
        equal([item.name for item in home.path.iterdir() if "prom" in item.name], ["mcpcred.prom"])
        equal(home.run("status", "--metrics", "--json").returncode, 2)
        equal(home.run("status", "--textfile", home.path / "no" / "where").returncode, 1)


def test_store_verbs():
    reply = {"store": "sealed-file", "store_state": "ready"}
    with Home({"Unlock": lambda p: reply, "Lock": lambda p: dict(reply, store_state="locked"),
               "Reload": lambda p: {"profiles": 4}}) as home:
        equal(home.json("unlock", "--stdin", stdin="passphrase\n")["store_state"], "ready")
        equal(home.broker.calls[-1][1:], ({}, [b"passphrase"]))
        equal(home.run("unlock", "--create", "--stdin", stdin="passphrase").returncode, 0)
        equal(home.broker.calls[-1][1], {"create": True})
        holds(b"locked" in home.run("lock").stdout)
        equal(home.json("reload")["profiles"], 4)


def test_doctor_works_without_a_broker():
    checks = [{"id": "keyring", "status": "ok", "summary": "fine"},
              {"id": "config", "status": "fail", "summary": "mcpcred.conf:4: no.", "remedy": "Mend it."}]
    with Home() as home:
        document = home.json("doctor", status=7)
        equal([c["status"] for c in document["checks"] if c["id"] == "client.broker"], ["fail"])
        Broker(home.runtime, {"Doctor": lambda p: {"checks": checks}})
        document = home.json("doctor", status=1)
        holds({"id": "config", "status": "fail", "summary": "mcpcred.conf:4: no.", "remedy": "Mend it."}
              in document["checks"], document)
        checks.pop()
        equal(home.run("doctor").returncode, 0)


def test_doctor_breaks_its_lines_between_words():
    words = " ".join(f"word{i}" for i in range(40))
    checks = [{"id": "config", "status": "fail", "summary": words, "remedy": words}]
    with Home({"Doctor": lambda p: {"checks": checks}}) as home:
        ours, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        subprocess.run([support.MCPCRED, "doctor"], stdout=terminal, stderr=subprocess.PIPE, timeout=30, check=False,
                       env=dict(home.environment(), NO_COLOR="1"))
        os.close(terminal)
        lines = os.read(ours, 65536).decode().splitlines()
        os.close(ours)
        holds(max(map(len, lines)) <= 60, lines)
        told = lines[lines.index(next(line for line in lines if line.startswith("fail"))):-2]
        equal(" ".join(line[6:] for line in told), f"config: {words} {words}")
        holds(f"fail  config: {words}\n      {words}\n".encode() in home.run("doctor").stdout)  # for programs, as it is


def open_reply(home, **variables):
    return {"session": SESSION, "expires": times(1800), "socket": str(home.runtime / "s/x/broker.sock"),
            "directory": str(home.runtime / "s/x"), "grants": [{"profile": "p", "deliver": "env", "expires": times(900)}],
            "environment": [{"name": k, "value": v} for k, v in variables.items()]}


def test_open_prints_no_secret_unasked():
    with Home({}) as home:
        home.broker.handlers["OpenSession"] = lambda p: open_reply(home, GITHUB_TOKEN=SECRET + "'x")
        document = home.json("open", "p", "--lifetime", "--ttl", "10m", "--repo", "octo/hello", "--label", "L")
        equal(document["environment"], ["GITHUB_TOKEN"])
        holds(SECRET not in json.dumps(document))
        parameters = home.broker.calls[-1][1]
        equal((parameters["lifeline"], parameters["lifetime"], parameters["grants"]),
              ("lifetime", 600, [{"profile": "p", "scope": {"repositories": ["octo/hello"]}}]))
        holds(SECRET.encode() not in home.run("open", "p", "--lifetime").stdout)
        done = home.run("open", "p", "--pid", os.getpid(), "--shell")
        equal(home.broker.calls[-1][1]["lifeline"], "descriptor")
        equal(subprocess.run(["sh", "-c", done.stdout.decode() + 'printf %s "$GITHUB_TOKEN"'],
                             capture_output=True).stdout.decode(), SECRET + "'x")
        path = home.path / "env"
        equal(home.run("open", "p", "--lifetime", "--env-file", path).returncode, 0)
        equal((path.read_text(), path.stat().st_mode & 0o777), (f"GITHUB_TOKEN={SECRET}'x\n", 0o600))
        home.broker.handlers["CloseSession"] = lambda p: {"sessions": 1, "credentials": [], "pending": False}
        equal(home.run("open", "p", "--lifetime", "--env-file", path).returncode, 1)
        equal(len(home.broker.asked("CloseSession")), 1)


def test_open_says_how_the_proxy_is_reached():
    proxy = {"proxy_socket": "/r/s/proxy.sock", "ca": "/r/s/ca.pem", "ca_bundle": "/r/s/ca-bundle.pem",
             "hosts": ["api.example", "*.b.example:8443"]}
    with Home({}) as home:
        home.broker.handlers["OpenSession"] = lambda p: dict(open_reply(home), **proxy)
        document = home.json("open", "p", "--lifetime", "--proxy", "127.0.0.1:3128", "--sandboxed")
        equal({name: document[name] for name in proxy}, proxy)
        parameters = home.broker.calls[-1][1]
        equal((parameters["proxy"], parameters["sandboxed"]), ("127.0.0.1:3128", True))
        words = home.run("open", "p", "--lifetime", "--proxy", "[::1]:3128").stdout.decode()
        for text in ("/r/s/proxy.sock", "/r/s/ca.pem", "/r/s/ca-bundle.pem", "api.example", "*.b.example:8443"):
            holds(text + "\n" in words, words)
        holds("sandboxed" not in home.broker.calls[-1][1])
        for bad in ("3128", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:3128", "a b:1", "u@h:1", "[::1]",
                    "h:1/x", "h:+1"):
            equal(home.run("open", "p", "--lifetime", "--proxy", bad).returncode, 2, bad)
        home.broker.handlers["OpenSession"] = lambda p: open_reply(home)
        document = home.json("open", "p", "--lifetime")
        equal((document["proxy_socket"], document["ca"], document["hosts"]), (None, None, []))
        holds("proxy" not in home.broker.calls[-1][1])


def test_token_from_outside_and_inside():
    token = {"profile": "p", "token": SECRET, "expires": times(60)}
    with Home({"GetToken": lambda p: token}) as home:
        equal(home.run("token", "p", "--session", SESSION).stdout.decode(), SECRET + "\n")
        equal(home.broker.calls[-1][1], {"session": SESSION, "profile": "p"})
        document = home.json("token", "--session", SESSION)
        equal((document["profile"], SECRET in json.dumps(document)), ("p", False))
        inner = Broker(home.path / "s", {"GetToken": lambda p: token}, "io.mcpcred.Session")
        env = {"MCPCRED_SOCK": str(inner.path), "MCPCRED_SESSION": "mcpcs_x"}
        equal(home.run("token", env=env).stdout.decode(), SECRET + "\n")
        equal(inner.calls[-1][1], {"session": "mcpcs_x"})
        ours, theirs = socket.socketpair()
        import threading
        threading.Thread(target=inner.serve, args=(ours,), daemon=True).start()
        done = home.run("token", "p", env={"MCPCRED_FD": str(theirs.fileno())}, pass_fds=[theirs.fileno()])
        equal(done.stdout.decode(), SECRET + "\n")
        equal(inner.calls[-1][1], {"profile": "p"})
        equal(home.run("token", env=dict(env, MCPCRED_SOCK="/nowhere/sock")).returncode, 7)


def test_read_only_calls_are_tried_twice():
    n = []

    def flaky(parameters):
        n.append(1)
        if len(n) == 1:
            raise Drop()
        return status_reply()
    with Home({"Status": flaky}) as home:
        equal((home.run("status").returncode, len(n)), (0, 2))
    n.clear()
    with Home({"Reload": flaky}) as home:
        equal((home.run("reload").returncode, len(n)), (7, 1))


def test_deadline():
    def never(parameters):
        raise Silence()
    with Home({"Status": never}) as home:
        error = home.json("status", "--timeout", "1", status=1)["error"]
        equal(error["code"], "Deadline")


def test_broken_broker_is_no_crash():
    class Odd(Broker):
        message = b""

        def answer(self, connection, call, fds):
            connection.sendall(self.message)
            connection.shutdown(socket.SHUT_WR)
    with Home() as home:
        odd = Odd(home.runtime)
        row = json.dumps({"parameters": {"version": 5}}).encode()
        for message in [b"", b"{\0", b"[]\0", b"null\0", b"\0", row + b"\0", b'{"parameters":{}}\0', b"x" * 3000000,
                        b'{"error":5}\0', b'{"error":""}\0', b'{"parameters":{},"continues":true}\0',
                        b"[" * 100000 + b"\0", b'{"parameters":{"version":"\xff"}}\0']:
            odd.message = message
            done = home.run("status", "--timeout", "5")
            holds(done.returncode in (1, 7), (message[:40], done))
            equal(done.stdout, b"")


def test_stray_descriptor_is_refused():
    def give(parameters):
        return support.WithFds(status_reply(), [os.open("/dev/null", os.O_RDONLY)])
    with Home({"Status": give}) as home:
        equal(home.json("status", status=1)["error"]["code"], "Protocol")


def test_directory_of_others_is_refused():
    with Home({"Status": lambda p: status_reply()}) as home:
        os.chmod(home.runtime, 0o777)
        equal(home.json("status", status=7)["error"]["code"], "Untrusted")
        os.chmod(home.runtime, 0o700)
        equal(home.run("status").returncode, 0)
        if os.getuid() == 0:
            os.chown(home.runtime, 65534, 65534)
            equal(home.json("status", status=7)["error"]["code"], "Untrusted")


def test_server_of_other_uid_is_refused():
    if os.getuid() != 0:
        return "needs root"
    with Home() as home:
        home.runtime.mkdir(mode=0o700)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(home.runtime / "broker.sock"))
        if os.fork() == 0:
            os.setuid(65534)
            listener.listen(4)
            os._exit(0)
        os.wait()
        equal(home.json("status", status=7)["error"]["code"], "Untrusted")


def test_runtime_directory_rules():
    with Home({"Status": lambda p: status_reply()}) as home:
        equal(home.run("status", "--runtime", home.runtime).returncode, 0)
        equal(home.run("--runtime", home.runtime, "status").returncode, 0)
        equal(home.run("status", "--runtime", "relative").returncode, 2)
        equal(home.run("status", "--runtime", home.path / "absent").returncode, 7)
        equal(home.run("status", "--runtime", home.runtime, "--system").returncode, 2)
        if not os.path.exists("/run/mcpcred"):
            error = home.json("status", "--system", status=7)["error"]
            holds("mcpcredd --system" in error["remedy"], error)  # exec starts none there
        long = home.path / ("d" * 100) / "mcpcred"
        long.parent.mkdir()
        os.symlink(home.runtime, long)
        equal(home.run("status", "--runtime", long).returncode, 0)
        fallback = home.path / "state" / "mcpcred" / "run"
        Broker(fallback, {"Status": lambda p: status_reply()})
        equal(home.run("status", env={"XDG_RUNTIME_DIR": str(home.path / "none"),
                                      "XDG_STATE_HOME": str(home.path / "state")}).returncode, 0)


def audit_log(n, fields=None):
    """Lines as the broker writes them."""
    lines, previous = [], "0" * 64
    for i in range(1, n + 1):
        second, middle = (i % 60, fields[i - 1]) if fields else (59, '"operation":"token.mint","verdict":"allow"')
        head = (f'{{"sequence":{i},"time":"2026-01-31T23:59:{second:02}.000000Z","principal":1000,'
                f'{middle},"prev":"{previous}"')
        digest = hashlib.sha256(bytes.fromhex(previous) + head.encode() + b"}").hexdigest()
        lines.append(head + f',"hash":"{digest}"}}')
        previous = digest
    return lines, previous


def test_audit_verify():
    lines, head = audit_log(20)
    with Home({}) as home:
        path = home.path / "audit.log"
        status = dict(status_reply(), audit_path=str(path), audit_sequence=20, audit_head=head)
        home.broker.handlers["Status"] = lambda p: status

        def verify(lines, status):
            path.write_text("".join(line + "\n" for line in lines))
            return home.json("audit", "verify", status=status)
        document = verify(lines, 0)
        equal((document["good"], document["lines"], document["head"], document["head_compared"]),
              (True, 20, head, True))
        equal(verify(lines[:7] + [lines[7].replace("allow", "deny")] + lines[8:], 9)["bad_line"], 8)
        equal(verify(lines[:7] + lines[8:], 9)["bad_line"], 8)
        equal(verify([lines[1], lines[0]] + lines[2:], 9)["bad_line"], 1)
        equal(verify(lines[:-1], 9)["good"], False)
        equal(home.run("audit", "verify", "--file", path).returncode, 0)
        equal(home.run("audit", "verify", "--file", path, "--head", f"20:{head}").returncode, 9)
        equal(home.run("audit", "verify", "--file", home.path / "absent").returncode, 6)
        path.write_text("".join(line + "\n" for line in lines))
        home.broker.stop()
        equal(home.run("audit", "verify", "--file", path, "--head", f"20:{head}").returncode, 0)
        equal(home.run("audit", "verify").returncode, 7)


def test_audit_verify_compares_a_given_head_whoever_answers():
    """The broker's word of the end does not stand in for it: whoever has the account can make both fit."""
    lines, head = audit_log(20)
    seventh = json.loads(lines[6])["hash"]
    with Home({}) as home:
        path = home.path / "state" / "mcpcred" / "audit.log"
        path.parent.mkdir(parents=True)
        path.write_text("".join(line + "\n" for line in lines))
        environment = {"XDG_STATE_HOME": str(home.path / "state")}
        status = dict(status_reply(), audit_path=str(path), audit_sequence=20, audit_head=head)
        home.broker.handlers["Status"] = lambda p: status
        given = home.json("audit", "verify", "--head", f"7:{seventh}")["given"]
        equal((given["compared"], given["bad_sequence"]), (1, 0))
        for wrong in f"7:{head}", f"21:{head}":
            document = home.json("audit", "verify", "--head", wrong, status=9)
            equal((document["good"], str(document["given"]["bad_sequence"])), (False, wrong.partition(":")[0]))
            holds(b"The head that was given" in home.run("audit", "verify", "--head", wrong).stdout)
        for wrong in "x", "7", "7:", f"0:{head}", f"7:{head[:-1]}", f"7:{head}0", "7:" + "z" * 64:
            equal(home.run("audit", "verify", "--head", wrong).returncode, 2, wrong)
        home.broker.stop()
        equal(home.run("audit", "verify", "--head", f"20:{head}", env=environment).returncode, 0)
        equal(home.run("audit", "verify", "--head", f"20:{seventh}", env=environment).returncode, 9)


def test_audit_cannot_compare_a_head_of_a_line_that_was_given_up():
    lines, head = audit_log(20)
    with Home({}) as home:
        write_files(home.path, lines, [1, 8, 15])
        (home.path / "audit.log.1").unlink()
        base = json.loads(lines[6])["hash"]
        status = dict(status_reply(), audit_path=str(home.path / "audit.log"), audit_sequence=20, audit_head=head,
                      audit_base=7, audit_base_head=base)
        home.broker.handlers["Status"] = lambda p: status
        equal(home.run("audit", "verify").returncode, 0)
        done = home.run("audit", "verify", "--head", f"3:{json.loads(lines[2])['hash']}")
        holds(done.returncode == 1 and b"nothing was compared" in done.stdout, done)


def test_audit_refuses_options_that_would_change_nothing():
    lines, head = audit_log(3)
    with Home() as home:
        path = home.path / "audit.log"
        path.write_text("".join(line + "\n" for line in lines))
        for words in (["show", "--follow"], ["show", "--format", "ocsf"], ["show", "--head", f"3:{head}"], ["tail", "--journal"],
                      ["tail", "--stdin"], ["verify", "--since", "2"], ["verify", "--session", SESSION],
                      ["verify", "--format", "json"], ["hash", "--secret", "github"], ["export", "--format", "json", "--lines", "1"]):
            done = home.run("audit", *words, "--file", path)
            holds(done.returncode == 2 and done.stdout == b"", (words, done))
        done = home.run("audit", "show", "--secret", "absent", "--file", path)
        holds(done.returncode == 0 and b"no line of the log" in done.stderr, done)
        equal(home.run("audit", "tail", "--since", "2", "--json", "--file", path).stdout.decode().splitlines(), lines[1:])


def test_audit_verify_works_without_a_broker():
    """On what is where its state would be; and says that the end is not known."""
    lines, _ = audit_log(20)
    with Home() as home:
        state = home.path / "state" / "mcpcred"
        state.mkdir(parents=True)
        write_files(state, lines, [1, 8, 15])
        environment = {"XDG_STATE_HOME": str(home.path / "state")}
        done = home.run("audit", "verify", env=environment)
        holds(done.returncode == 0 and b"20 lines in 3 files" in done.stdout, done)
        holds(b"is not known" in done.stdout and b"No broker answers" in done.stderr, done)
        equal(len(home.run("audit", "show", env=environment).stdout.splitlines()), 20)
        middle = state / "audit.log.8"
        text = middle.read_text()
        middle.write_text(text.replace("allow", "alloW", 1))
        done = home.run("audit", "verify", env=environment)
        holds(done.returncode == 9 and b"audit.log.8: line 1: it was edited" in done.stdout, done)
        middle.unlink()
        equal(home.run("audit", "verify", env=environment).returncode, 9)


def write_files(directory, lines, starts):
    """A log of several files: `starts` are the sequences of their first lines, the last one of audit.log's."""
    for number, first in enumerate(starts):
        last = starts[number + 1] - 1 if number + 1 < len(starts) else len(lines)
        name = f"audit.log.{first}" if number + 1 < len(starts) else "audit.log"
        (directory / name).write_text("".join(line + "\n" for line in lines[first - 1:last]))


def test_audit_hash_sends_no_value():
    token, asked = "tok-" + "secret" * 4, []

    def answer(parameters):
        asked.append(parameters)
        return {"token": "blake2b:" + "0" * 32}
    with Home({"HashToken": answer}) as home:
        equal(home.run("audit", "hash", "--stdin", stdin=token.encode() + b"\n").stdout.decode(), "blake2b:" + "0" * 32 + "\n")
        (home.path / "leaked").write_text(token)
        equal(home.json("audit", "hash", "--file", home.path / "leaked")["token"], "blake2b:" + "0" * 32)
        equal(asked, 2 * [{"token_hash": hashlib.sha256(token.encode()).hexdigest()}])
        done = home.run("audit", "hash", token)
        holds(done.returncode == 2 and token.encode() not in done.stdout + done.stderr, done)


# The operation, more of the line, and the class and activity that it becomes.
OCSF = (
    ("session.open", '"session":"s-1","profile":"p"', 3002, 1),
    ("session.end", '"session":"s-1"', 3002, 2),
    ("session.configure", '"session":"s-1"', 3003, 1),
    ("token.mint", '"session":"s-1","profile":"p","secret":"gh","token":"blake2b:00"', 3005, 1),
    ("lease.revoke", '"lease":"l-1"', 3005, 2),
    ("state.end-all", '"detail":"epoch"', 3005, 2),
    ("secret.add", '"secret":"gh"', 3004, 1),
    ("secret.rotate", '"secret":"gh"', 3004, 3),
    ("secret.rotate.due", '"secret":"gh"', 3004, 3),
    ("secret.remove", '"secret":"gh"', 3004, 4),
    ("scan.patterns", '"detail":"x"', 3004, 2),
    ("proxy.request", '"session":"s-1","reason":"denied"', 6003, 99),
    ("proxy.request", '"session":"s-1","reason":"misuse"', 2004, 1),
    ("proxy.request", '"session":"s-1","reason":"guessed"', 2004, 1),
    ("leak.report", '"detail":"1 candidates"', 2004, 1),
    ("leak.end-session", '"session":"s-1"', 2004, 2),
    ("leak.close", '"detail":"x"', 2004, 3),
    ("leak.close", '"reason":"NotFound"', 6003, 99),
    ("audit.delete", '"detail":"x"', 6003, 4),
    ("AddSecret", '"reason":"NotAllowed"', 6003, 99),
    ("handle.issue", '"session":"s-1","profile":"p","secret":"gh","lease":"l-1","token":"blake2b:01"', 3005, 1),
)
# What OCSF requires of each class beyond what every event has.
OCSF_KEYS = {2004: ("finding_info",), 3002: ("user",), 3003: ("user",), 3004: ("entity",),
             3005: ("user", "privileges"), 6003: ("api", "src_endpoint", "actor")}
OCSF_STATUS = {"New": 1, "In Progress": 2, "Resolved": 4, "Success": 1, "Failure": 2}
OCSF_BASE = ("activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata", "status_id")


def ocsf_fields():
    """The members of each line, in the order in which lines have them."""
    order = "session profile secret lease operation verdict reason token detail".split()
    for name, more, _, _ in OCSF:
        members = {**json.loads("{" + more + "}"), "operation": name, "verdict": "deny" if "reason" in more else "allow"}
        yield ",".join(f'"{key}":"{members[key]}"' for key in order if key in members)


def nothing_is_empty(value):
    if isinstance(value, dict):
        return bool(value) and all(nothing_is_empty(member) for member in value.values())
    if isinstance(value, list):
        return bool(value) and all(nothing_is_empty(member) for member in value)
    return value not in ("", None)


def test_export_ocsf_has_required_keys():
    lines, _ = audit_log(len(OCSF), list(ocsf_fields()))
    with Home() as home:
        write_files(home.path, lines, [1, 5])
        path = home.path / "audit.log"
        done = home.run("audit", "export", "--format", "ocsf", "--file", path)
        equal(done.returncode, 0, done.stderr)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        equal(len(events), len(OCSF))
        for number, (event, (name, more, uid, activity)) in enumerate(zip(events, OCSF), 1):
            equal((event["class_uid"], event["activity_id"]), (uid, activity), name)
            equal((event["type_uid"], event["category_uid"]), (uid * 100 + activity, uid // 1000), name)
            equal(event["type_name"], f'{event["class_name"]}: {event["activity_name"]}')
            for key in OCSF_BASE + OCSF_KEYS[uid]:
                holds(nothing_is_empty(event[key]), (name, key, event[key]))
            equal(event["time"], 1769903940000 + number * 1000)
            equal(event["actor"]["user"]["uid"], "1000")
            status = {1: "New", 2: "In Progress", 3: "Resolved"}[activity] if uid == 2004 else "Failure" if "reason" in more \
                else "Success"
            equal((event["status"], event["status_id"]), (status, OCSF_STATUS[status]))
            equal({**event["unmapped"], "operation": None, "verdict": None},
                  {**json.loads("{" + more + "}"), "operation": None, "verdict": None})


def test_audit_show_and_export_select():
    lines, _ = audit_log(len(OCSF), list(ocsf_fields()))
    with Home() as home:
        write_files(home.path, lines, [1, 5])
        path = home.path / "audit.log"
        for verb in (("show", "--json"), ("export", "--format", "json")):
            for option, value, wanted in (("--token", "blake2b:00", [4]), ("--session", "s-1", [1, 2, 3, 4, 12, 13, 14, 16, 21]),
                                          ("--operation", "lease.revoke", [5]), ("--since", "18", [18, 19, 20, 21]),
                                          ("--since", "2026-01-31T23:59:17Z", [17, 18, 19, 20, 21]), ("--since", "1h", [])):
                done = home.run("audit", *verb, option, value, "--file", path)
                equal([json.loads(line)["sequence"] for line in done.stdout.splitlines()], wanted, (verb, option))
        for wrong in ("--since", "yesterday"), ("--verdict", "nope"), ("--lines", "3"):
            equal(home.run("audit", "show", *wrong, "--file", path).returncode, 2, wrong)


def test_audit_tail():
    lines, _ = audit_log(20)
    with Home() as home:
        path = home.path / "audit.log"
        path.write_text("".join(line + "\n" for line in lines))
        equal(home.run("audit", "tail", "--file", path, "--lines", 3, "--json").stdout.decode().splitlines(), lines[-3:])
        text = home.run("audit", "tail", "--file", path).stdout.decode().splitlines()
        equal((len(text), text[0]), (10, "2026-01-31T23:59:59Z  allow  token.mint       uid 1000"))
        equal(len(home.run("audit", "tail", "--file", path, "--lines", 50).stdout.splitlines()), 20)
        path.write_text('{"sequence":1,"time":"2026-01-31T23:59:59.000000Z","operation":"proxy.request",'
                        '"verdict":"deny","reason":"denied","detail":"CONNECT \\"a\\u001b[2J\\": No profile allows it."}\n')
        equal(home.run("audit", "tail", "--file", path).stdout.decode(),
              '2026-01-31T23:59:59Z  deny   proxy.request    denied  CONNECT "a?[2J": No profile allows it.\n')
        equal(home.run("audit", "show", "--file", path, "--verdict", "allow").stdout, b"")
        equal(len(home.run("audit", "show", "--file", path, "--operation", "proxy").stdout.splitlines()), 1)
        equal(home.run("audit", "tail", "--file", path, "--follow").returncode, 2)


def test_output_that_cannot_be_written_is_a_failure():
    with Home({"Status": lambda p: status_reply()}) as home:
        for words in (["status"], ["status", "--json"], ["version"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([support.MCPCRED, *words], stdout=full, stderr=subprocess.PIPE,
                                      env=home.environment())
            equal(done.returncode, 1, words)


def scan_page(key="key-" + "0123456789abcdef" * 2, anchor=None, **more):
    """What ScanPatterns says of one key."""
    hashing = hashlib.blake2b(key.encode(), digest_size=32, key=b"k" * 32)
    pattern = {"secret": "api", "state": "current", "anchor": (key[14:18].encode().hex() if anchor is None else anchor),
               "offset": 14, "length": len(key), "hash": hashing.hexdigest()}
    return {"key": (b"k" * 32).hex(), "patterns": [pattern], "prefixes": ["mcpch_"], "skipped": [], **more}


def test_scan_finds_by_what_it_is_told():
    key = "key-" + "0123456789abcdef" * 2
    with Home({"ScanPatterns": lambda p: scan_page()}) as home:
        done = home.run("scan", "-", "--json", stdin=f"a\nb {key}".encode())
        equal(done.returncode, 1, done.stderr)
        [row] = json.loads(done.stdout)["findings"]
        equal((row["secret"], row["line"], row["column"]), ("api", 2, 3))
        equal(home.run("scan", "-", stdin=key[:-1]).returncode, 0)


def test_scan_that_fails_is_not_one_that_finds():
    def fail(name):
        def answer(_):
            raise Fault(name)
        return answer

    damaged = [scan_page(anchor="zz"), scan_page(anchor=""), scan_page(anchor="6b"), scan_page(key="k" * 20000),
               scan_page(prefixes=["x"]), scan_page(patterns=[], prefixes=[])]
    cases = [(fail("Internal"), 3), (fail("KeyringLocked"), 4), (fail("NotAllowed"), 5)]
    cases += [(lambda p, page=page: page, 3) for page in damaged]
    for answer, status in cases:
        with Home({"ScanPatterns": answer}) as home:
            done = home.run("scan", "-", stdin=b"nothing")
            equal((done.returncode, done.stdout), (status, b""), done.stderr)


support.main(globals())
